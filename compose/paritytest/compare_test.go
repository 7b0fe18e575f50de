package paritytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"coin.internal/coin-agent/compose"
)

// fields holds the leaves of a stack's specs: their values as JSON, by path.
type fields map[string]string

// difference is one field that differs; "" means not set.
type difference struct{ path, docker, ours string }

func (d difference) String() string {
	return fmt.Sprintf("%s: docker sends %s, Render makes %s", d.path, orNothing(d.docker), orNothing(d.ours))
}

func orNothing(value string) string {
	if value == "" {
		return "nothing"
	}
	return value
}

func differences(docker, ours fields) []difference {
	all := maps.Clone(docker)
	maps.Copy(all, ours)
	var found []difference
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if docker[path] != ours[path] {
			found = append(found, difference{path, docker[path], ours[path]})
		}
	}
	return found
}

// sentFields returns the fields of the docker command's requests, without the IDs that
// it looks up in the engine.
func sentFields(t *testing.T, sent *bodies, stack string) fields {
	t.Helper()
	all := fields{}
	for _, spec := range sent.services {
		container := spec.TaskTemplate.ContainerSpec
		for _, one := range container.Secrets {
			one.SecretID = ""
		}
		for _, one := range container.Configs {
			one.ConfigID = ""
		}
		if privileges := container.Privileges; privileges != nil && privileges.CredentialSpec != nil {
			privileges.CredentialSpec.Config = ""
		}
		all.add(t, "services", stack, spec.Name, spec)
	}
	for _, request := range sent.networks {
		if ipv6 := request.EnableIPv6; ipv6 != nil && !*ipv6 {
			request.EnableIPv6 = nil // docker 20.10 always sends false
		}
		all.add(t, "networks", stack, request.Name, request.CreateOptions)
	}
	for _, spec := range sent.secrets {
		spec.Data = nil // compared separately, because it must not be printed
		all.add(t, "secrets", stack, spec.Name, spec)
	}
	for _, spec := range sent.configs {
		all.add(t, "configs", stack, spec.Name, spec)
	}
	return all
}

// renderedFields returns the fields of a rendered stack, without the agent's label.
func renderedFields(t *testing.T, stack *compose.Stack) fields {
	t.Helper()
	all := fields{}
	for name, spec := range stack.Services {
		all.add(t, "services", stack.Name, name, spec)
	}
	for name, options := range stack.Networks {
		all.add(t, "networks", stack.Name, name, options)
	}
	for _, secret := range stack.Secrets {
		all.add(t, "secrets", stack.Name, secret.Spec.Name, secret.Spec)
	}
	for _, config := range stack.Configs {
		all.add(t, "configs", stack.Name, config.Spec.Name, config.Spec)
	}
	owner, err := json.Marshal(stack.Owner)
	if err != nil {
		t.Fatal(err)
	}
	for path, value := range all {
		if !strings.HasSuffix(path, ".Labels."+compose.LabelOwner) {
			continue
		}
		if value != string(owner) {
			t.Errorf("%s is %s, want %s", path, value, owner)
		}
		delete(all, path)
	}
	return all
}

// add adds the fields of an object in JSON, the form that the engine gets. It removes
// the stack's name, which differs in each run, from other names.
func (f fields) add(t *testing.T, kind, stack, name string, object any) {
	t.Helper()
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var plain any
	if err := decoder.Decode(&plain); err != nil {
		t.Fatal(err)
	}
	f.walk(kind+"."+strings.TrimPrefix(name, stack+"_"), plain)
}

func (f fields) walk(path string, value any) {
	switch value := value.(type) {
	case map[string]any:
		if len(value) == 0 {
			f[path] = "{}"
		}
		for key, one := range value {
			f.walk(path+"."+key, one)
		}
	case []any:
		if len(value) == 0 {
			f[path] = "[]"
		}
		for i, one := range value {
			f.walk(fmt.Sprintf("%s[%d]", path, i), one)
		}
	default:
		data, err := json.Marshal(value)
		if err != nil {
			panic(err) // the value is from JSON
		}
		f[path] = string(data)
	}
}

// sameSecrets compares the contents that Render knows with those that docker sends.
func sameSecrets(t *testing.T, sent *bodies, stack *compose.Stack) {
	t.Helper()
	for _, secret := range stack.Secrets {
		if !secret.Value.Known() {
			continue
		}
		for _, spec := range sent.secrets {
			if spec.Name == secret.Spec.Name && !bytes.Equal(spec.Data, secret.Value.Reveal()) {
				t.Errorf("the content of secret %s differs", spec.Name)
			}
		}
	}
}
