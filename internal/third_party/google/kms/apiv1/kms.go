// Package kms stands for the client of Google Cloud KMS.
package kms

import (
	"context"
	"errors"

	"cloud.google.com/go/kms/apiv1/kmspb"
)

var errNotBuiltIn = errors.New("Google Cloud KMS is not built in")

// KeyManagementClient is a client that asks nothing.
type KeyManagementClient struct{}

// NewKeyManagementClient gives an error.
func NewKeyManagementClient[Option any](context.Context, ...Option) (*KeyManagementClient, error) {
	return nil, errNotBuiltIn
}

// NewKeyManagementRESTClient gives an error.
func NewKeyManagementRESTClient[Option any](context.Context, ...Option) (*KeyManagementClient, error) {
	return nil, errNotBuiltIn
}

// Close closes nothing.
func (*KeyManagementClient) Close() error { return nil }

// Encrypt gives an error.
func (*KeyManagementClient) Encrypt(context.Context, *kmspb.EncryptRequest) (*kmspb.EncryptResponse, error) {
	return nil, errNotBuiltIn
}

// Decrypt gives an error.
func (*KeyManagementClient) Decrypt(context.Context, *kmspb.DecryptRequest) (*kmspb.DecryptResponse, error) {
	return nil, errNotBuiltIn
}
