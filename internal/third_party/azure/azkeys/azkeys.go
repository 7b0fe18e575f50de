// Package azkeys stands for the client of Azure Key Vault.
package azkeys

import (
	"context"
	"errors"
)

var errNotBuiltIn = errors.New("Azure Key Vault is not built in")

// EncryptionAlgorithmRSAOAEP256 is the algorithm that SOPS uses.
const EncryptionAlgorithmRSAOAEP256 = "RSA-OAEP-256"

// ID is the ID of a key.
type ID string

// Version gives no version.
func (*ID) Version() string { return "" }

// The options, requests and answers.
type (
	ClientOptions          struct{}
	KeyOperationParameters struct {
		Algorithm *string
		Value     []byte
	}
	KeyOperationResult struct{ Result []byte }
	Answer             struct{ KeyOperationResult KeyOperationResult }
	KeyAnswer          struct{ Key struct{ KID *ID } }
)

// Client is a client that asks nothing.
type Client struct{}

// NewClient gives an error.
func NewClient(string, any, *ClientOptions) (*Client, error) { return nil, errNotBuiltIn }

// GetKey gives an error.
func (*Client) GetKey(_ context.Context, _, _ string, _ any) (KeyAnswer, error) {
	return KeyAnswer{}, errNotBuiltIn
}

// Encrypt gives an error.
func (*Client) Encrypt(_ context.Context, _, _ string, _ KeyOperationParameters, _ any) (Answer, error) {
	return Answer{}, errNotBuiltIn
}

// Decrypt gives an error.
func (*Client) Decrypt(_ context.Context, _, _ string, _ KeyOperationParameters, _ any) (Answer, error) {
	return Answer{}, errNotBuiltIn
}
