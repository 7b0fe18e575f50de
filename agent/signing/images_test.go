package signing_test

import (
	"strings"
	"testing"

	"oras.land/oras-go/v2/registry/remote/auth"

	"coin.internal/coin-agent/agent/signing"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/cosign"
	"coin.internal/coin-agent/cosign/cosigntest"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/policy"
)

// TestUnknownDigest judges an image whose digest the engine could not find out: the registry has
// it, so the sync is tried again. Where registries are never asked, it is refused.
func TestUnknownDigest(t *testing.T) {
	t.Parallel()
	key := cosigntest.NewKey(t, "ecdsa")
	in := cosigntest.Open(t, cosigntest.Registry(t)+"/coin/app", auth.Credential{})
	image := in.Image("1", "app")
	key.Sign(in, image)
	rules := &policy.Policy{Images: &policy.Images{Signatures: []policy.ImageSignature{{Images: policy.Patterns{"*"}, Keys: []string{key.File}, Required: true}}}}
	for _, test := range []struct {
		resolve   compose.Resolve
		image     string
		refused   bool
		transient bool
	}{
		{compose.ResolveAlways, in.Name + ":1", false, true},
		{compose.ResolveChanged, in.Name + ":1", false, true},
		{compose.ResolveNever, in.Name + ":1", true, false},
		{compose.ResolveAlways, in.Name + ":2", true, false},
		{compose.ResolveAlways, in.Name + ":1@" + image.String(), false, false},
	} {
		stack := &compose.Stack{Name: "s", Resolve: test.resolve}
		verdict, err := signing.NewImages(cosign.Options{}, nil).Judge(t.Context(), rules, stack, map[string]string{"s_web": test.image})
		if (len(verdict.Refusals) > 0) != test.refused || fault.IsTransient(err) != test.transient || (err != nil) != test.transient {
			t.Errorf("%s, resolve %s: refused %v, %v", test.image, test.resolve, verdict.Refusals, err)
		}
		if test.transient && (!strings.Contains(err.Error(), "has no digest") || fault.Hint(err) == "") {
			t.Errorf("got %v (%s)", err, fault.Hint(err))
		}
	}
}
