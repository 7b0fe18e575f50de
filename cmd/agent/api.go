package main

import (
	"log/slog"
	"net"

	"coin.internal/coin-agent/agent/access"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/internal/fault"
)

// api is the API for other machines.
type api struct {
	listener net.Listener
	guard    *access.Guard
}

// openAPI opens the API's address; nil if the settings name none.
func (a *app) openAPI(log *slog.Logger) (*api, error) {
	if a.settings.APIListen == "" {
		return nil, nil
	}
	var cert *access.Certificate
	var err error
	if a.settings.APICertFile != "" {
		if cert, err = access.ReadCertificate(a.settings.APICertFile, a.settings.APIKeyFile); err != nil {
			return nil, err
		}
	}
	guard, err := access.New(access.Options{Listen: a.settings.APIListen, Tokens: a.settings.APITokens, Cert: cert, Log: log})
	if err != nil {
		return nil, err
	}
	listener, err := access.Listen(a.settings.APIListen, cert)
	if err != nil {
		return nil, err
	}
	log.Info("API", "address", listener.Addr().String(), "tls", cert != nil, "tokens", len(a.settings.APITokens))
	return &api{listener, guard}, nil
}

// reload takes the tokens of the settings, and reads their files and the certificate again.
// Of settings that cannot be read as a whole no new token is taken.
func (a *api) reload(fresh settings.Settings, unread error, log *slog.Logger) {
	take := a.guard.Reload
	if unread != nil {
		take = a.guard.Shrink
	}
	if err := take(fresh.APITokens); err != nil {
		log.Error("API tokens that cannot be read are refused", "error", err.Error(), "hint", fault.Hint(err))
	}
	if err := a.guard.ReloadCertificate(); err != nil {
		log.Error("cannot reload the API's certificate: the one before stays", "error", err.Error(), "hint", fault.Hint(err))
	}
	log.Info("API reloaded", "tokens", a.guard.Tokens())
}

func (a *api) close() error {
	if a == nil {
		return nil
	}
	return a.listener.Close()
}
