// Package core stands for the HTTP client of Huawei's SDK.
package core

// Builder builds a Client.
type Builder struct{}

// Client is a client that asks nothing.
type Client struct{}

// NewHcHttpClientBuilder gives a builder.
func NewHcHttpClientBuilder() *Builder { return &Builder{} }

// WithCredential ignores the credential.
func (b *Builder) WithCredential(any) *Builder { return b }

// WithRegion ignores the region.
func (b *Builder) WithRegion(string) *Builder { return b }

// Build gives the client.
func (b *Builder) Build() *Client { return &Client{} }
