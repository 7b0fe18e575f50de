// Package model stands for the requests of Huawei Cloud KMS.
package model

// Algorithm names an algorithm.
type Algorithm string

// Algorithms are those that SOPS uses.
type Algorithms struct{ SYMMETRIC_DEFAULT Algorithm }

// GetEncryptDataRequestBodyEncryptionAlgorithmEnum gives the algorithms.
func GetEncryptDataRequestBodyEncryptionAlgorithmEnum() Algorithms { return Algorithms{} }

// GetDecryptDataRequestBodyEncryptionAlgorithmEnum gives the algorithms.
func GetDecryptDataRequestBodyEncryptionAlgorithmEnum() Algorithms { return Algorithms{} }

// The requests and their answers.
type (
	EncryptDataRequest     struct{ Body *EncryptDataRequestBody }
	EncryptDataRequestBody struct {
		KeyId, PlainText    string
		EncryptionAlgorithm *Algorithm
	}
	EncryptDataResponse    struct{ CipherText *string }
	DecryptDataRequest     struct{ Body *DecryptDataRequestBody }
	DecryptDataRequestBody struct {
		CipherText          string
		EncryptionAlgorithm *Algorithm
		KeyId               *string
	}
	DecryptDataResponse struct{ PlainText *string }
)
