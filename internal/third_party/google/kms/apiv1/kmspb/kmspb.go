// Package kmspb stands for the requests of Google Cloud KMS.
package kmspb

// The requests and their answers.
type (
	EncryptRequest struct {
		Name      string
		Plaintext []byte
	}
	EncryptResponse struct{ Ciphertext []byte }
	DecryptRequest  struct {
		Name       string
		Ciphertext []byte
	}
	DecryptResponse struct{ Plaintext []byte }
)
