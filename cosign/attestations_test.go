package cosign_test

import (
	"fmt"
	"testing"

	"oras.land/oras-go/v2/registry/remote/auth"

	"coin.internal/coin-agent/cosign/cosigntest"
)

// TestManyAttestations gives an image more attestations than signatures are looked at: neither
// those that say what they are, nor the others, hide its signature.
func TestManyAttestations(t *testing.T) {
	t.Parallel()
	key, eve := cosigntest.NewKey(t, "ecdsa"), cosigntest.NewKey(t, "ecdsa")
	in := cosigntest.Open(t, cosigntest.Registry(t)+"/coin/app", auth.Credential{})
	image := in.Image("1", "attested")
	const predicate = "https://slsa.dev/provenance/v1"
	told := make([][]byte, 101)
	for i := range told {
		told[i] = eve.Bundle(cosigntest.Statement(predicate, "", image))
	}
	in.ReferAs(image, predicate, told...)
	for i := range 51 { // an old tool does not say so
		in.Refer(image, eve.Bundle(cosigntest.Statement(predicate, fmt.Sprint("other", i), image)))
	}
	key.SignBundle(in, image)
	verify(t, in, image, key.File, key.File)
}
