// Package s3 stands for the client of AWS S3.
package s3

import (
	"context"
	"errors"
	"io"
)

// PutObjectInput is an upload.
type PutObjectInput struct {
	Body        io.Reader
	Bucket, Key *string
}

// Client is a client that asks nothing.
type Client struct{}

// NewFromConfig gives the client.
func NewFromConfig(any) *Client { return &Client{} }

// PutObject gives an error.
func (*Client) PutObject(context.Context, *PutObjectInput) (any, error) {
	return nil, errors.New("AWS S3 is not built in")
}
