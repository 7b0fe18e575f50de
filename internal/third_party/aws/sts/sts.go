// Package sts stands for the client of AWS STS.
package sts

import (
	"context"
	"errors"
)

// The request and its answer.
type (
	AssumeRoleInput  struct{ RoleArn, RoleSessionName *string }
	AssumeRoleOutput struct {
		Credentials struct{ AccessKeyId, SecretAccessKey, SessionToken *string }
	}
)

// Client is a client that asks nothing.
type Client struct{}

// NewFromConfig gives the client.
func NewFromConfig(any) *Client { return &Client{} }

// AssumeRole gives an error.
func (*Client) AssumeRole(context.Context, *AssumeRoleInput) (*AssumeRoleOutput, error) {
	return nil, errors.New("AWS STS is not built in")
}
