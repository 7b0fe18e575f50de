package main

import (
	"log/slog"
	"net"

	"coin.internal/coin-agent/agent/access"
)

// api is the API for other machines.
type api struct {
	listener net.Listener
	guard    *access.Guard
}

// openAPI opens the API's address; nil if the settings name none. People without a session
// stand at the door.
func (a *app) openAPI(log *slog.Logger, door access.Door) (*api, error) {
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
	guard, err := access.New(access.Options{Listen: a.settings.APIListen, Tokens: a.settings.APITokens, Cert: cert, Door: door, Log: log})
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

func (a *api) close() error {
	if a == nil {
		return nil
	}
	return a.listener.Close()
}
