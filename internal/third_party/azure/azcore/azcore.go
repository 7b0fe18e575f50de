// Package azcore stands for the core of Azure's SDK.
package azcore

// TokenCredential is a credential.
type TokenCredential any
