package deploy_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/internal/fault"
)

// TestReady asks a manager, with one call.
func TestReady(t *testing.T) {
	_, recorder, engine := swarmWith(t)
	ready, err := engine.Ready(t.Context())
	if err != nil || ready.APIVersion < "1.41" || ready.EngineVersion == "" || ready.DataRoot == "" || !ready.Local {
		t.Errorf("%+v, %v", ready, err)
	}
	if _, err := os.Stat(ready.DataRoot); err != nil {
		t.Error(err)
	}
	reads := 0
	for _, call := range recorder.Calls() {
		if strings.HasSuffix(call.Path, "/info") {
			reads++
		}
	}
	if reads != 1 {
		t.Errorf("%d reads, want 1", reads)
	}
	if _, err := connect(t, "unix:///nowhere/docker.sock").Ready(t.Context()); !errors.Is(err, deploy.ErrUnavailable) {
		t.Errorf("an engine that is not there: %v", err)
	}
}

// TestPushed asks a registry for an image that it has and for an image that only the node
// has, without a login, and while it is down.
func TestPushed(t *testing.T) {
	s := newShelf(t, swarmtest.RegistryOptions{User: "robot", Password: password})
	nowhere := s.registry.Address + "/coin/core:nowhere"
	ask := func(images ...string) map[string]deploy.Pushed {
		t.Helper()
		found, err := s.engine.Pushed(t.Context(), images)
		if err != nil {
			t.Fatal(err)
		}
		said := map[string]deploy.Pushed{}
		for _, one := range found {
			said[strings.TrimPrefix(one.Image, s.registry.Address)] = one
		}
		if strings.Contains(fmt.Sprint(said), password) {
			t.Errorf("it shows the password: %v", said)
		}
		return said
	}
	if said := ask(s.image)["/coin/core:1"]; said.Missing || !strings.Contains(said.Problem, "requires a login") || said.Remedy == "" {
		t.Errorf("without a login: %+v", said)
	}
	s.engine.UseLogins(loginFile(t, s.registry.Login(password), 0o600))
	said := ask(nowhere, s.image, s.image, s.image+"@"+s.digest)
	if len(said) != 3 || said["/coin/core:1"].Problem != "" || said["/coin/core:1@"+s.digest].Problem != "" {
		t.Errorf("pushed: %+v", said)
	}
	if lost := said["/coin/core:nowhere"]; !lost.Missing || !strings.Contains(lost.Problem, "does not have the image") || !strings.Contains(lost.Remedy, "check the tag") {
		t.Errorf("never pushed: %+v", lost)
	}
	s.registry.Stop()
	if said := ask(s.image)["/coin/core:1"]; said.Missing || !strings.Contains(said.Problem, "does not answer") {
		t.Errorf("down: %+v", said)
	}
}

// TestLogin reads logins.
func TestLogin(t *testing.T) {
	engine := connect(t, "unix:///nowhere/docker.sock")
	if user, value, err := engine.Login(t.Context(), "harbor.example.com"); user != "" || value.Known() || err != nil {
		t.Errorf("no file: %q, %v", user, err)
	}
	engine.UseLogins(loginFile(t, `{"auths": {
		"harbor.example.com": {"username": "robot$agent", "password": "canary-harbor"},
		"token.example.com": {"identitytoken": "canary-token"}
	}}`, 0o600))
	user, value, err := engine.Login(t.Context(), "harbor.example.com")
	if err != nil || user != "robot$agent" || !cmp.Equal("canary-harbor", string(value.Reveal())) {
		t.Errorf("got %q, %v", user, err)
	}
	if user, _, err := engine.Login(t.Context(), "other.example.com"); user != "" || err != nil {
		t.Errorf("another host: %q, %v", user, err)
	}
	_, _, err = engine.Login(t.Context(), "token.example.com")
	if !errors.Is(err, deploy.ErrLogin) || strings.Contains(fmt.Sprintf("%+v", err), "canary") || !strings.Contains(fault.Hint(err), "user_file") {
		t.Errorf("a token: %v", err)
	}
}
