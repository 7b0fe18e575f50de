// Package v2 stands for the client of Huawei Cloud KMS.
package v2

import (
	"errors"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/kms/v2/model"
)

var errNotBuiltIn = errors.New("Huawei Cloud KMS is not built in")

// KmsClient is a client that asks nothing.
type KmsClient struct{}

// NewKmsClient gives the client.
func NewKmsClient(*core.Client) *KmsClient { return &KmsClient{} }

// EncryptData gives an error.
func (*KmsClient) EncryptData(*model.EncryptDataRequest) (*model.EncryptDataResponse, error) {
	return nil, errNotBuiltIn
}

// DecryptData gives an error.
func (*KmsClient) DecryptData(*model.DecryptDataRequest) (*model.DecryptDataResponse, error) {
	return nil, errNotBuiltIn
}
