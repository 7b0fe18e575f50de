package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/policy"
)

func TestSigners(t *testing.T) {
	tests := map[string]struct {
		text string
		want policy.Signers
		said string
	}{
		"one file each":  {"{openpgp: /a.asc, ssh: /b}", policy.Signers{OpenPGP: []string{"/a.asc"}, SSH: []string{"/b"}}, ""},
		"lists":          {"{ssh: [/b, /c]}", policy.Signers{SSH: []string{"/b", "/c"}}, ""},
		"relative":       {"{ssh: [/b, keys/c]}", policy.Signers{}, `agent.yml:1:22: "keys/c" is not an absolute path`},
		"a mapping":      {"{ssh: [{a: b}]}", policy.Signers{}, "is not an absolute path"},
		"empty":          {"{}", policy.Signers{}, "no signature would count"},
		"empty list":     {"{ssh: []}", policy.Signers{}, "no signature would count"},
		"nothing":        {"{ssh: }", policy.Signers{}, `"" is not an absolute path`},
		"a list of both": {"[/a, /b]", policy.Signers{}, "policy.signers is not a mapping"},
		"unknown":        {"{gpg: /a}", policy.Signers{}, "unknown key policy.signers.gpg"},
		"twice":          {"{ssh: /a, ssh: /b}", policy.Signers{}, "policy.signers.ssh is set twice"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var document yaml.Node
			if err := yaml.Unmarshal([]byte("{signers: "+test.text+"}"), &document); err != nil {
				t.Fatal(err)
			}
			read, err := policy.Read("agent.yml", document.Content[0])
			if test.said != "" {
				if err == nil || !strings.Contains(err.Error(), test.said) || fault.Hint(err) == "" {
					t.Errorf("got %v, want %q", err, test.said)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&test.want, read.Signers); diff != "" {
				t.Error(diff)
			}
		})
	}
}
