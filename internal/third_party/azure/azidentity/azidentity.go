// Package azidentity stands for the search of Azure's SDK for credentials.
package azidentity

import "errors"

// NewDefaultAzureCredential gives an error: nothing is looked for.
func NewDefaultAzureCredential(any) (any, error) {
	return nil, errors.New("Azure Key Vault is not built in")
}
