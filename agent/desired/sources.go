package desired

import (
	"cmp"
	"path"
	"path/filepath"

	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/internal/privatefile"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// Check makes one of config.yml's checks ready: with the secrets and files that it names.
func (s *State) Check(entry manifests.Check) (checks.Check, error) {
	check := checks.Check{Name: entry.Name, Retries: entry.Retries, Interval: entry.Interval, Timeout: entry.Timeout}
	var err error
	switch {
	case entry.HTTP.URL != "":
		check.HTTP, err = s.http(entry.HTTP)
	case entry.TCP.Address != "":
		check.TCP = &checks.TCP{Address: entry.TCP.Address}
	case entry.SQL.Query != "":
		check.SQL, err = s.SQL(entry.SQL)
	default:
		check.Exec = &checks.Exec{Service: s.Node.Stack + "_" + entry.Exec.Service, Command: entry.Exec.Command, OutputContains: entry.Exec.OutputContains}
	}
	return check, err
}

func (s *State) http(entry manifests.HTTPCheck) (*checks.HTTP, error) {
	token, tls, err := s.access(entry.TokenSecret, entry.TokenFile, entry.TLS)
	if err != nil {
		return nil, err
	}
	status := entry.Status
	if len(status) == 0 {
		status = []int{200}
	}
	return &checks.HTTP{
		URL: entry.URL, Method: entry.Method, Headers: entry.Headers, Body: entry.Body, Token: token,
		Status: status, Header: entry.Header, BodyContains: entry.BodyContains,
		JSONPath: entry.JSONPath, JSONEquals: entry.JSONEquals, SaveAs: entry.SaveAs, TLS: tls,
	}, nil
}

// SQL makes a query of config.yml ready, with its login.
func (s *State) SQL(entry manifests.SQLCheck) (*checks.SQL, error) {
	password, tls, err := s.access(entry.PasswordSecret, entry.PasswordFile, entry.TLS)
	if err != nil {
		return nil, err
	}
	shared := s.Node.Config.Database
	database := checks.Database{
		Host: cmp.Or(entry.Host, shared.Host), Port: cmp.Or(entry.Port, shared.Port, 5432), Name: cmp.Or(entry.Name, shared.Name),
		User: cmp.Or(entry.User, shared.User), Password: password, SSLMode: checks.SSLMode(entry.SSLMode), TLS: tls,
		Most: limits.Of(s.Node.FS).AnswerBytes,
	}
	return &checks.SQL{Database: database, Query: entry.Query, Equals: entry.Equals}, nil
}

// access gives the token or password of a check, and its TLS.
func (s *State) access(secret, file string, entry manifests.CheckTLS) (checks.Secret, checks.TLS, error) {
	if err := s.Bounded(); err != nil {
		return nil, checks.TLS{}, err
	}
	login, err := s.either(secret, file)
	if err != nil {
		return nil, checks.TLS{}, err
	}
	tls := checks.TLS{InsecureSkipVerify: entry.InsecureSkipVerify, ServerName: entry.ServerName}
	ca, err := s.either(entry.CASecret, entry.CAFile)
	if err == nil && ca != nil {
		tls.CA = ca.Reveal()
	}
	return login, tls, err
}

// Known gives a secret of the node whose content can be seen.
func (s *State) Known(name string) (secrets.Value, error) {
	file := path.Join(s.Node.Dir, "secrets", name)
	value, _ := s.Secrets.Lookup(name, file) // that it is there was seen before
	if err := s.unread(name, file); err != nil && !value.Known() {
		return value, err
	}
	if !value.Known() {
		return value, fault.New(fault.Place{}, "name a key that opens it in age_key_files or pgp_key_files", "the secret %q cannot be read", name)
	}
	return value, nil
}

// either gives what is named as a secret or as a file; nil when neither is.
func (s *State) either(secret, file string) (checks.Secret, error) {
	switch {
	case secret != "":
		return s.Known(secret)
	case file != "":
		return s.CheckFile(file)
	}
	return nil, nil
}

// CheckFile reads a file of check_dir. config.yml can name no other, and it is read only if
// all that config.yml sends goes where the node allows it.
func (s *State) CheckFile(name string) (checks.Secret, error) {
	if err := s.Bounded(); err != nil {
		return nil, err
	}
	content, err := privatefile.Read(filepath.Join(s.options.CheckDir, name), "the file of check_dir", nil)
	if err != nil {
		return nil, err
	}
	return secrets.NewValue(content), nil
}
