package main

import (
	"log/slog"
	"net"
	"net/http"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/access"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/agent/webhook"
	"coin.internal/coin-agent/internal/fault"
)

// api is the API for other machines.
type api struct {
	listener net.Listener
	guard    *access.Guard
	hooks    *webhook.Receiver // nil: there is no webhook
}

// handler gives what the API's address serves: the API, and the webhook if there is one.
func (a *api) handler(endpoints http.Handler) http.Handler {
	protected := a.guard.Protect(endpoints)
	if a.hooks == nil {
		return protected
	}
	mux := http.NewServeMux()
	mux.Handle("/", protected)
	mux.Handle("POST /hooks/gitlab", a.guard.Hook(a.hooks.Handle))
	return mux
}

// looker is what a hook has look.
type looker interface {
	Look()
	Relist()
}

// openWebhook makes the receiver of GitLab's hooks; nil if the settings name no token.
func openWebhook(a *app, node looker, log *slog.Logger) (*webhook.Receiver, error) {
	if a.settings.WebhookTokenFile == "" {
		return nil, nil
	}
	branch := a.settings.Rule().Branch
	tags, err := tagsOf(&a.settings)
	if err != nil {
		return nil, err
	}
	return webhook.New(webhook.Options{
		TokenFile: a.settings.WebhookTokenFile, Project: a.settings.GitLabProject, Target: a.settings.PlansBranch(), Look: node.Look, Relist: node.Relist, Log: log,
		Follows: func(ref string, tag bool) bool {
			if tag {
				return tags != nil && tags.MatchString(ref)
			}
			return branch == ref
		},
	})
}

// openAPI opens the API's address, where hooks have the node look; nil if the settings name none.
// People without a session get the form of door.
func openAPI(a *app, node looker, door access.Door, log *slog.Logger) (*api, error) {
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
	hooks, err := openWebhook(a, node, log)
	if err != nil {
		return nil, err
	}
	guard, err := access.New(access.Options{Name: a.settings.Owner(), Listen: a.settings.APIListen, Tokens: a.settings.APITokens, Cert: cert, Door: door, Log: log})
	if err != nil {
		return nil, err
	}
	listener, err := access.Listen(a.settings.APIListen, cert)
	if err != nil {
		return nil, err
	}
	log.Info("API", "address", listener.Addr().String(), "tls", cert != nil, "tokens", len(a.settings.APITokens))
	return &api{listener, guard, hooks}, nil
}

// reload takes the tokens of the settings, and reads their files and the certificate again.
// Of settings that cannot be read as a whole no new token is taken. The audit log notes which
// tokens are accepted from then on.
func (a *api) reload(fresh settings.Settings, unread error, node *agent.Agent, log *slog.Logger) {
	take := a.guard.Reload
	if unread != nil {
		take = a.guard.Shrink
	}
	refused := take(fresh.APITokens)
	if refused != nil {
		log.Error("API tokens that cannot be read are refused", "error", refused, "hint", fault.Hint(refused))
	}
	if err := a.guard.ReloadCertificate(); err != nil {
		log.Error("cannot reload the API's certificate: the one before stays", "error", err, "hint", fault.Hint(err))
	}
	log.Info("API reloaded", "tokens", a.guard.Tokens())
	if err := node.NoteTokens(a.guard.Tokens(), refused); err != nil {
		log.Error("the audit log lacks the reload of the API's tokens", "error", err, "hint", fault.Hint(err))
	}
}

func (a *api) close() error {
	if a == nil {
		return nil
	}
	return a.listener.Close()
}
