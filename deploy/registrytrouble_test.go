package deploy_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/internal/fault"
)

// warned checks that there is one warning, with all of the words.
func warned(t *testing.T, plan deploy.Plan, words ...string) {
	t.Helper()
	if len(plan.Warnings) != 1 {
		t.Fatalf("warnings: %q", plan.Warnings)
	}
	for _, word := range words {
		if !strings.Contains(plan.Warnings[0], word) {
			t.Errorf("the warning does not say %q: %s", word, plan.Warnings[0])
		}
	}
}

func TestRegistryDown(t *testing.T) {
	s := newShelf(t, swarmtest.RegistryOptions{})
	s.rollout(t, compose.ResolveChanged)
	next, digest := s.registry.Push(t, "coin/core:2", "2")
	s.registry.Stop()

	s.recorder.Reset()
	applied, plan := s.rollout(t, compose.ResolveAlways)
	warned(t, plan, "image "+s.image+": registry "+s.registry.Address+" does not answer (", "connection refused); the running digest is kept: make sure that this node can reach it")
	if !plan.Empty() || len(s.recorder.Writes()) > 0 || len(s.drifts(t, applied)) > 0 {
		t.Errorf("plan %+v, writes %v", plan, s.recorder.Writes())
	}
	s.runs(t, s.image+"@"+s.digest)

	s.want(next)
	_, plan = s.rollout(t, compose.ResolveChanged)
	warned(t, plan, "image "+next+": registry "+s.registry.Address+" does not answer", "is deployed without a digest")
	s.runs(t, next)

	s.registry.Start(t)
	if _, plan := s.rollout(t, compose.ResolveChanged); !plan.Empty() {
		t.Errorf("when it is back, changed: %+v", plan)
	}
	s.rollout(t, compose.ResolveAlways)
	s.runs(t, next+"@"+digest)
}

func TestDownRegistryIsAskedOnce(t *testing.T) {
	s := newShelf(t, swarmtest.RegistryOptions{})
	s.registry.Stop()
	none := uint64(0)
	for i := range 40 {
		add(s.stack, fmt.Sprintf("more%02d", i), func(spec *swarm.ServiceSpec) {
			spec.Mode.Replicated = &swarm.ReplicatedService{Replicas: &none}
			spec.TaskTemplate.ContainerSpec.Image = fmt.Sprintf("%s/more:%02d", s.registry.Address, i)
		})
	}
	s.recorder.Reset()
	_, plan := s.plan(t, compose.ResolveAlways)
	warned(t, plan, "more:00, ", " and 36 more: registry")
	if n := s.lookups(); n > 8 {
		t.Errorf("%d questions to a registry that is down", n)
	}
}

func TestMissingImage(t *testing.T) {
	s := newShelf(t, swarmtest.RegistryOptions{})
	s.want(s.image + "-typo")
	_, plan := s.plan(t, compose.ResolveChanged)
	warned(t, plan, s.image+"-typo: registry "+s.registry.Address+" does not have the image (manifest unknown", "check the tag, or push the image")
	local := s.registry.Address + "/coin/local:1"
	s.on.Image(t, local)
	s.want(local)
	_, plan = s.plan(t, compose.ResolveChanged)
	warned(t, plan, local, "this node has the image")
	missing, err := deploy.MissingImages(t.Context(), s.engine, []string{s.image, local, s.image + "-typo"})
	if diff := cmp.Diff([]string{s.image + "-typo"}, missing); diff != "" || err != nil {
		t.Errorf("%s, %v", diff, err)
	}
}

const password = "canary-registry-pass" //nolint:gosec // the tests' own

func TestRegistryLogins(t *testing.T) {
	s := newShelf(t, swarmtest.RegistryOptions{User: "robot", Password: password})
	seen := &bytes.Buffer{}
	_, plan := s.plan(t, compose.ResolveChanged)
	warned(t, plan, "registry "+s.registry.Address+" requires a login", "registry_config_file")
	fmt.Fprintln(seen, plan)

	file := loginFile(t, s.registry.Login("canary-wrong-pass"), 0o600)
	s.engine.UseLogins(file)
	_, plan = s.plan(t, compose.ResolveChanged)
	warned(t, plan, "registry "+s.registry.Address+" refuses the login of "+file, "write a valid login into it")
	fmt.Fprintln(seen, plan)
	states, err := s.engine.Registries(t.Context(), []string{s.image})
	fmt.Fprintln(seen, states, err)
	if err != nil || len(states) != 1 || !states[0].Login || !strings.Contains(states[0].Problem, "refuses the login") {
		t.Errorf("registries: %+v, %v", states, err)
	}

	write(t, file, s.registry.Login(password))
	s.on.Forget(t, s.image) // the node has to pull it, with the same login
	_, plan = s.rollout(t, compose.ResolveChanged)
	if len(plan.Warnings) > 0 {
		t.Errorf("with the login: %v", plan.Warnings)
	}
	fmt.Fprintln(seen, plan)
	s.runs(t, s.image+"@"+s.digest)

	s.registry.SetPassword(t, "canary-rotated-pass")
	s.recorder.Reset()
	_, plan = s.rollout(t, compose.ResolveAlways)
	warned(t, plan, "refuses the login of "+file, "the running digest is kept")
	fmt.Fprintln(seen, plan)
	write(t, file, s.registry.Login("canary-rotated-pass"))
	if _, plan = s.rollout(t, compose.ResolveAlways); !plan.Empty() || len(plan.Warnings) > 0 || len(s.recorder.Writes()) > 0 {
		t.Errorf("another login is a reason to write: %+v", plan)
	}
	next, digest := s.registry.Push(t, "coin/core:2", "2")
	s.on.Forget(t, next)
	s.want(next)
	s.rollout(t, compose.ResolveChanged)
	s.runs(t, next+"@"+digest)
	states, err = s.engine.Registries(t.Context(), []string{next})
	if err != nil || len(states) != 1 || states[0].Registry != s.registry.Address || !states[0].Login || states[0].Problem != "" {
		t.Errorf("%+v, %v", states, err)
	}

	fmt.Fprintln(seen, s.registry.Log(t), s.on.Docker(t, "", "service", "inspect", s.stack.Name+"_api"))
	if strings.Contains(seen.String(), "-pass") || strings.Contains(seen.String(), "canary-wrong") {
		t.Errorf("a password shows: %s", seen)
	}
}

// TestUpdateWithoutLoginsKeepsThem changes the image of services with an agent without a
// login: the nodes can still pull it, so the plan warns and is not refused.
func TestUpdateWithoutLoginsKeepsThem(t *testing.T) {
	s := newShelf(t, swarmtest.RegistryOptions{User: "robot", Password: password})
	s.engine.UseLogins(loginFile(t, s.registry.Login(password), 0o600))
	s.rollout(t, compose.ResolveChanged)
	s.engine.UseLogins("")
	next, digest := s.registry.Push(t, "coin/core:2", "2")
	s.on.Forget(t, next, s.registry.Address+"/coin/core@"+digest)
	s.want(next)
	resolved, plan := s.plan(t, compose.ResolveNever)
	warnings, err := s.engine.RefuseMissing(t.Context(), plan, deploy.Resolution{Stack: resolved}, false)
	if err != nil || len(plan.Steps) != 2 || len(warnings) != 1 || !strings.Contains(warnings[0], "requires a login") {
		t.Errorf("%+v: %v, %q", plan, err, warnings)
	}
	_, plan = s.rollout(t, compose.ResolveChanged)
	warned(t, plan, "requires a login", "is deployed without a digest")
	s.runs(t, next)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRegistriesWithTLS(t *testing.T) {
	s := newShelf(t, swarmtest.RegistryOptions{TLS: true, User: "robot", Password: password})
	s.engine.UseLogins(loginFile(t, s.registry.Login(password), 0o600))
	s.on.Forget(t, s.image)
	s.rollout(t, compose.ResolveChanged)
	s.runs(t, s.image+"@"+s.digest)

	distrusted := s.on.Registry(t, swarmtest.RegistryOptions{TLS: true, Distrusted: true})
	s.want(distrusted.Address + "/coin/core:1")
	_, plan := s.plan(t, compose.ResolveChanged)
	warned(t, plan, "registry "+distrusted.Address+" does not answer (", "certificate signed by unknown authority")
}

func TestUnreadableLoginFiles(t *testing.T) {
	on, recorder, engine := swarmWith(t)
	stack := hostStack(on.Stack(t))
	add(stack, "web", nil)
	live, err := engine.Observe(t.Context(), stack)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := deploy.Diff(live, stack)
	if err != nil {
		t.Fatal(err)
	}
	recorder.Reset()
	for want, path := range map[string]string{
		": read the file with the registry credentials: no such file":     t.TempDir() + "/nowhere",
		": the file with the registry credentials is not a regular file":  t.TempDir(),
		": other users can access the file with the registry credentials": loginFile(t, "{}", 0o644),
		": the file with the registry credentials is empty":               loginFile(t, "\n", 0o600),
		":2: not valid JSON":                                                 loginFile(t, "{\ncanary", 0o600),
		":1: not valid JSON: it ends too early":                              loginFile(t, `{"auths": {"canary`, 0o600),
		":3: a value is of the wrong type":                                   loginFile(t, "{\"auths\":\n{\"r\":\n[\"canary\"]}}", 0o600),
		": an auth under auths is not user:password in base64":               loginFile(t, `{"auths": {"r": {"auth": "canary!"}}}`, 0o600),
		": the credential helper docker-credential-nowhere is not installed": loginFile(t, `{"credsStore": "nowhere"}`, 0o600),
	} {
		engine.UseLogins(path)
		_, resolveErr := engine.Resolve(t.Context(), live.Services, stack)
		applyErr := engine.Apply(t.Context(), plan, stack, deploy.ApplyOptions{})
		for _, err := range []error{resolveErr, applyErr} {
			switch {
			case err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path):
				t.Errorf("got %v, want %s%s", err, path, want)
			case strings.Contains(err.Error(), "canary") || fault.Hint(err) == "" || !errors.Is(err, deploy.ErrLogin):
				t.Errorf("%v (hint %s)", err, fault.Hint(err))
			}
		}
	}
	for _, call := range recorder.Writes() {
		if strings.HasPrefix(call.Path, "/services") {
			t.Errorf("a service was written without its login: %v", call)
		}
	}
}

// helper is a credential helper: a program that is asked for a registry's login.
const helper = `#!/bin/sh
read -r registry
case $registry in
%s) echo '{"ServerURL": "'"$registry"'", "Username": "robot", "Secret": "` + password + `"}' ;;
broken*) echo "no key for ` + password + `"; exit 1 ;;
*) echo "credentials not found in native keychain"; exit 1 ;;
esac
`

func TestCredentialHelpers(t *testing.T) {
	on := swarmtest.Engine(t)
	registry := on.Registry(t, swarmtest.RegistryOptions{User: "robot", Password: password})
	image, _ := registry.Push(t, "coin/core:1", "1")
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	if err := os.WriteFile(dir+"/docker-credential-robot", fmt.Appendf(nil, helper, registry.Address), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	engine := connect(t, on.Host)
	for content, login := range map[string]bool{
		`{"credsStore": "robot"}`:                                           true,
		`{"credHelpers": {"` + registry.Address + `": "robot"}}`:            true,
		`{"credHelpers": {"registry.example.com": "robot"}}`:                false,
		`{"auths": {"https://` + registry.Address + `/v1/": {"auth": ""}}}`: false,
	} {
		engine.UseLogins(loginFile(t, content, 0o600))
		states, err := engine.Registries(t.Context(), []string{image})
		if err != nil || states[0].Login != login || (states[0].Problem == "") != login {
			t.Errorf("%s: %+v, %v", content, states, err)
		}
	}
	engine.UseLogins(loginFile(t, `{"credsStore": "robot"}`, 0o600))
	if _, err := engine.Registries(t.Context(), []string{"other.example.com/app:1"}); err != nil {
		t.Errorf("a registry that the helper does not know: %v", err)
	}
	_, err := engine.Registries(t.Context(), []string{"broken.example.com/app:1"})
	if err == nil || strings.Contains(err.Error(), password) || !strings.Contains(err.Error(), "docker-credential-robot gives no login for broken.example.com") {
		t.Errorf("a helper that fails: %v", err)
	}
}
