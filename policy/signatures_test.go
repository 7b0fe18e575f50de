package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/policy"
)

func TestImageSignatures(t *testing.T) {
	all := []policy.ImageSignature{{Images: policy.Patterns{"*"}, Keys: []string{"/a.pub"}, Required: true}}
	for text, test := range map[string]struct {
		want []policy.ImageSignature
		said string
	}{
		"[{images: '*', keys: /a.pub}]":                     {want: all},
		"[{images: ['*'], keys: [/a.pub], required: true}]": {want: all},
		"[{images: [a/*, b/*], keys: [/a.pub, /b.pub], required: false}]": {want: []policy.ImageSignature{
			{Images: policy.Patterns{"a/*", "b/*"}, Keys: []string{"/a.pub", "/b.pub"}},
		}},
		"{images: '*', keys: /a.pub}":       {said: "is not a list of signatures"},
		"[{images: 'a/*:1', keys: /a.pub}]": {said: "names an image with a tag or digest: a/*:1"},
		"[{images: 'a/b@*', keys: /a.pub}]": {said: "names an image with a tag or digest"},
		"[]":                                {said: "is not a list of signatures"},
		"[a]":                               {said: "policy.images.signatures is not a mapping"},
		"[{images: '*'}]":                   {said: "does not name both images and keys"},
		"[{keys: /a.pub}]":                  {said: "does not name both images and keys"},
		"[{images: '*', keys: []}]":         {said: "does not name both images and keys"},
		"[{images: '*', keys: a.pub}]":      {said: "policy.yml:3:"},
		"[{images: '*', keys: /a.pub, required: maybe}]":  {said: "required is neither true nor false"},
		"[{images: '*', keys: /a.pub, issuer: https://}]": {said: "unknown key policy.images.signatures.issuer"},
		"[{images: '*', images: '*', keys: /a.pub}]":      {said: "is set twice"},
	} {
		read, err := policy.ReadFile("policy.yml", []byte("policy:\n  images:\n    signatures: "+text+"\n"))
		if test.said != "" {
			if err == nil || !strings.Contains(err.Error(), test.said) || fault.Hint(err) == "" {
				t.Errorf("%s: got %v, want %q", text, err, test.said)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		written, err := read.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := policy.ReadFile("policy.yml", []byte(written))
		if err != nil {
			t.Fatalf("%v of %s", err, written)
		}
		if diff := cmp.Diff(test.want, again.Signatures()); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
	if got := (*policy.Policy)(nil).Signatures(); got != nil {
		t.Errorf("no policy demands %v", got)
	}
}

// TestSignatureNeedsDigest judges images before their digests are asked for.
func TestSignatureNeedsDigest(t *testing.T) {
	files := service("")
	subject := rendered(t, files)
	files[configFile] = "environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: c, stack: app, public_ip: 10.1.2.3}]\nimages: {resolve: never}\n"
	never := rendered(t, files)
	const rules = "images: {signatures: [{images: [docker.io/library/*], keys: /a.pub}]}"
	judged(t, rules, subject)
	judged(t, rules, never, "images.signatures|web|2|runs the image nginx:latest, which has no digest whose signature could be verified")
	judged(t, "images: {signatures: [{images: [docker.io/library/*], keys: /a.pub, required: false}]}", never)
	judged(t, "images: {signatures: [{images: [docker.io/coin/*], keys: /a.pub}]}", never)
}
