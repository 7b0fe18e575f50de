package settings

import (
	"errors"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/agent/access"
	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/lazyregexp"
)

// validateAPI checks what is set of the API.
func validateAPI(s *Settings) error {
	refuse := func(hint, text string) error { return fault.New(fault.Place{}, hint, "%s", text) }
	tls := s.APICertFile != "" && s.APIKeyFile != ""
	switch {
	case !tls && (s.APICertFile != "" || s.APIKeyFile != ""):
		return refuse("set both, or neither", "api_cert_file and api_key_file belong together")
	case s.APIListen == "" && (tls || len(s.APITokens) > 0):
		return refuse("set api_listen, or leave out the other api_ settings", "the setting api_listen is missing")
	case s.APIListen == "" && s.WebhookTokenFile != "":
		return refuse("set api_listen, which takes the hooks", "webhook_token_file is set, and api_listen is not")
	case s.WebhookTokenFile != "" && s.GitLabProject == "":
		return refuse("set gitlab_project to the project of the webhook", "webhook_token_file is set, and gitlab_project is not")
	case s.APIListen == "":
		return nil
	case len(s.APITokens) == 0 && s.WebhookTokenFile == "":
		return refuse("name one in agent.yml: api_tokens: [{name: ci, file: /etc/coin-agent/api-ci, scope: read}]", "api_listen is set, but api_tokens lists no token")
	}
	return access.RefuseOpen(s.APIListen, tls)
}

// tokenName is the form of a token's name: it is the name of an actor.
var tokenName = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$`)

// readTokens reads the list of the API's tokens.
func readTokens(name string, list *yaml.Node) (tokens []access.Token, err error) {
	place := func(at *yaml.Node) fault.Place { return fault.Place{File: name, Line: at.Line, Column: at.Column} }
	const form = "write a list such as: - {name: ci, file: /etc/coin-agent/api-ci, scope: read}"
	if list.Kind != yaml.SequenceNode {
		return nil, fault.New(place(list), form, "api_tokens is not a list")
	}
	var faults []error
	seen := map[string]bool{}
	for _, item := range list.Content {
		if item.Kind != yaml.MappingNode {
			faults = append(faults, fault.New(place(item), form, "an entry of api_tokens is not a mapping"))
			continue
		}
		token := access.Token{Scope: control.ScopeRead}
		for i := 0; i+1 < len(item.Content); i += 2 {
			key, value := item.Content[i], item.Content[i+1]
			switch {
			case value.Kind != yaml.ScalarNode:
				faults = append(faults, fault.New(place(value), form, "%s of a token is not one value", key.Value))
			case key.Value == "name":
				token.Name = value.Value
			case key.Value == "file":
				token.File = value.Value
			case key.Value == "scope":
				token.Scope = control.Scope(value.Value)
			default:
				faults = append(faults, fault.New(place(key), "a token has name, file and scope", "unknown key %q of a token", key.Value))
			}
		}
		switch {
		case !tokenName().MatchString(token.Name):
			faults = append(faults, fault.New(place(item), "use up to 40 letters, digits, '.', '_' and '-'", "%q cannot be the name of a token", token.Name))
		case seen[token.Name]:
			faults = append(faults, fault.New(place(item), "keep one of them", "two tokens have the name %s", token.Name))
		case token.File == "":
			faults = append(faults, fault.New(place(item), form, "the token %s has no file", token.Name))
		case token.Scope != control.ScopeRead && token.Scope != control.ScopeOperate:
			faults = append(faults, fault.New(place(item), "write read or operate", "the token %s has the unknown scope %q", token.Name, token.Scope))
		}
		seen[token.Name] = true
		tokens = append(tokens, token)
	}
	return tokens, errors.Join(faults...)
}
