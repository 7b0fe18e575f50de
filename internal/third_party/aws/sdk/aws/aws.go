// Package aws stands for the core of AWS' SDK.
package aws

// CredentialsProvider provides credentials.
type CredentialsProvider any

// Config is the configuration of clients.
type Config struct{ Credentials CredentialsProvider }

// String gives a pointer to a text.
func String(text string) *string { return &text }
