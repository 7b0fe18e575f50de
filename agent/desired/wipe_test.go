package desired_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/internal/waitfor"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// TestWipeAfterRender abandons a Render, which must not lose the values that it reads. They
// can be wiped once it has ended.
func TestWipeAfterRender(t *testing.T) {
	key := sopstest.NewKey(t)
	identity := key.File(t)
	files := bound(goodDatabase)
	files["environments/sandbox/nodes/node3/secrets.enc"] = bound("")["environments/sandbox/nodes/node3/docker-compose.yml"]
	files["environments/sandbox/nodes/node3/secrets.enc"].Data = []byte(sopstest.WholeYAML(t, key, map[string]string{"db": "value"}))
	began, proceed := make(chan secrets.Value), make(chan struct{})
	state, err := desired.Open(t.Context(), files, desired.Options{
		Environment: "sandbox", Node: "node3",
		Keys: func() (*secrets.Keyring, error) { return secrets.LoadKeys(secrets.KeyFiles{Age: []string{identity}}) },
		Render: func(_ *manifests.Node, set *secrets.Set, _ compose.Options) (*compose.Stack, error) {
			value, _ := set.Lookup("db", "")
			began <- value
			<-proceed
			return nil, errors.New("ended")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	abandoned := make(chan error)
	go func() {
		_, err := state.Render(ctx)
		abandoned <- err
	}()
	value := <-began
	cancel()
	if err := <-abandoned; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	state.Wipe()
	content := value.Reveal() // not a copy
	if string(content) != "value" {
		t.Errorf("the value is %q while it is read", content)
	}
	close(proceed)
	waitfor.NoError(t, 5*time.Minute, func() error {
		if state.Wipe(); content[0] != 0 {
			return errors.New("the value is not wiped")
		}
		return nil
	})
}
