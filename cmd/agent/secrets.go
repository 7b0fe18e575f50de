package main

import (
	"github.com/spf13/cobra"

	"coin.internal/coin-agent/secrets"
)

func secretsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "secrets", Short: "List, rotate, audit and clean up the secrets of an environment"}
	cmd.AddCommand(secretsListCommand(a), secretsGCCommand(a), rotateCommand(a), secretsAuditCommand(a))
	return cmd
}

// openWorkingCopy finds the repository that contains path and loads the keys to its
// secrets. It disables core dumps first, because they would contain the keys.
func openWorkingCopy(a *app, path string) (root string, keys *secrets.Keyring, err error) {
	if err := forbidCoreDumps(); err != nil {
		return "", nil, err
	}
	if keys, err = a.keyring(); err != nil {
		return "", nil, err
	}
	root, _, err = findRepository(path)
	return root, keys, err
}
