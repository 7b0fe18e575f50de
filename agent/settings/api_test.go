package settings_test

import (
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/internal/fault"
)

// What is set of the API is read and checked, with the place and the remedy of each error.
func TestAPISettings(t *testing.T) {
	const base = "environment: sandbox\nnode: node3\nrepository: /repo\n"
	const token = "api_tokens:\n  - {name: ci, file: /t}\n"
	for name, test := range map[string]struct{ text, says string }{
		"on loopback":        {"api_listen: 127.0.0.1:9181\n" + token, ""},
		"with TLS":           {"api_listen: 0.0.0.0:9181\napi_cert_file: /c\napi_key_file: /k\n" + token, ""},
		"without TLS":        {"api_listen: 0.0.0.0:9181\n" + token, "is not a loopback address"},
		"no port":            {"api_listen: localhost\n" + token, "is not an address with a port"},
		"half a certificate": {"api_listen: 127.0.0.1:9181\napi_cert_file: /c\n" + token, "belong together"},
		"no token":           {"api_listen: 127.0.0.1:9181\n", "api_tokens lists no token"},
		"no address":         {token, "the setting api_listen is missing"},
		"no list":            {"api_tokens: /t\n", "agent.yml:4:13: api_tokens is not a list"},
		"no mapping":         {"api_tokens: [/t]\n", "an entry of api_tokens is not a mapping"},
		"no file":            {"api_tokens: [{name: ci}]\n", "the token ci has no file"},
		"no name":            {"api_tokens: [{file: /t}]\n", `"" cannot be the name of a token`},
		"a name like root":   {"api_tokens: [{name: \"local:root\", file: /t}]\n", "cannot be the name of a token"},
		"twice":              {"api_tokens: [{name: ci, file: /t}, {name: ci, file: /u}]\n", "two tokens have the name ci"},
		"unknown scope":      {"api_tokens: [{name: ci, file: /t, scope: admin}]\n", `unknown scope "admin"`},
		"unknown key":        {"api_tokens: [{name: ci, file: /t, value: x}]\n", `unknown key "value" of a token`},
	} {
		s := settings.Default()
		err := s.ReadYAML("agent.yml", []byte(base+test.text))
		if err == nil {
			err = s.Validate()
		}
		switch {
		case test.says == "":
			if err != nil || len(s.APITokens) != 1 || s.APITokens[0].Scope != control.ScopeRead {
				t.Errorf("%s: %+v, %v", name, s.APITokens, err)
			}
		case err == nil || !strings.Contains(err.Error(), test.says) || fault.Hint(err) == "":
			t.Errorf("%s: %v, hint %q", name, err, fault.Hint(err))
		}
	}
}
