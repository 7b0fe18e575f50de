// Package auth stands for the credentials of Huawei's SDK.
package auth

// ICredential is a credential.
type ICredential any
