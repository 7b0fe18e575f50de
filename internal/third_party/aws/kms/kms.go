// Package kms stands for the client of AWS KMS.
package kms

import (
	"context"
	"errors"
)

var errNotBuiltIn = errors.New("AWS KMS is not built in")

// The options, requests and answers.
type (
	Options      struct{ BaseEndpoint *string }
	EncryptInput struct {
		KeyId             *string
		Plaintext         []byte
		EncryptionContext map[string]string
	}
	EncryptOutput struct{ CiphertextBlob []byte }
	DecryptInput  struct {
		KeyId             *string
		CiphertextBlob    []byte
		EncryptionContext map[string]string
	}
	DecryptOutput struct{ Plaintext []byte }
)

// Client is a client that asks nothing.
type Client struct{}

// NewFromConfig gives the client.
func NewFromConfig(any, ...func(*Options)) *Client { return &Client{} }

// Encrypt gives an error.
func (*Client) Encrypt(context.Context, *EncryptInput) (*EncryptOutput, error) {
	return nil, errNotBuiltIn
}

// Decrypt gives an error.
func (*Client) Decrypt(context.Context, *DecryptInput) (*DecryptOutput, error) {
	return nil, errNotBuiltIn
}
