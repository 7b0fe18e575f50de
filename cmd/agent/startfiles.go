package main

import (
	"errors"

	"coin.internal/coin-agent/agent/access"
	gitsync "coin.internal/coin-agent/sync"
)

// wrongFiles says what is wrong with the files that the daemon needs for its start: keys, the token of
// GitLab's API, and the tokens and certificates of its addresses. A file that is missing, malformed or open
// to others is a wrong setting: another start does not help.
func wrongFiles(a *app) error {
	s := &a.settings
	_, keys := a.keyring()
	faults := []error{keys}
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
