package main

import (
	"errors"
	"io/fs"
	"os"

	"coin.internal/coin-agent/agent/access"
	gitsync "coin.internal/coin-agent/sync"
)

// wrongFiles says what is wrong with the files that the daemon needs for its start: keys, the token of
// GitLab's API, and the tokens and certificates of its addresses. A file that is missing, malformed or open
// to others is a wrong setting: another start does not help. But another process may write the token of
// Vault later, as after the start of the machine.
func wrongFiles(a *app) error {
	s := &a.settings
	var faults []error
	if token := s.KeyFiles().VaultToken; token == "" || !isMissing(token) {
		_, err := a.keyring()
		faults = append(faults, err)
	}
	if s.Repository != "" {
		_, err := gitsync.Open(s.Remote())
		faults = append(faults, err)
	}
	if s.GitLabTokenFile != "" {
		_, err := a.gitLab()
		faults = append(faults, err)
	}
	if s.APIListen != "" {
		faults = append(faults, access.WrongFiles(s.APITokens, s.APICertFile, s.APIKeyFile))
	}
	if s.MetricsListen != "" {
		faults = append(faults, access.WrongFiles(s.Metrics().Tokens(), s.MetricsCertFile, s.MetricsKeyFile))
	}
	return errors.Join(faults...)
}

func isMissing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}
