package stackfiles_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/docker/cli/cli/compose/convert"
	"github.com/docker/cli/cli/compose/loader"
	"github.com/docker/cli/cli/compose/schema"
	composetypes "github.com/docker/cli/cli/compose/types"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/stackfiles"
)

// fields are the values of a stack's specs as JSON, by path. A stack that cannot be made has
// one field, fails.
type fields map[string]string

const fails = "fails"

// add adds the values below a path.
func (f fields) add(path string, value any) {
	data, err := json.Marshal(value)
	if err != nil {
		f[path] = err.Error()
		return
	}
	var plain any
	_ = json.Unmarshal(data, &plain) // it was made by Marshal
	f.walk(path, plain)
}

func (f fields) walk(path string, value any) {
	switch value := value.(type) {
	case map[string]any:
		for key, inner := range value {
			f.walk(path+"."+key, inner)
		}
	case []any:
		for i, inner := range value {
			name := fmt.Sprint(i)
			if text, isText := inner.(string); isText { // a variable, by its name
				if key, rest, assigned := strings.Cut(text, "="); assigned {
					name, inner = key, rest
				}
			}
			f.walk(path+"."+name, inner)
		}
	default:
		f[path] = fmt.Sprint(value)
	}
}

// service adds a service without the references to secrets and configs, whose IDs the engine
// gives.
func (f fields) service(spec swarm.ServiceSpec) {
	spec.TaskTemplate.ContainerSpec.Secrets, spec.TaskTemplate.ContainerSpec.Configs = nil, nil
	f.add(spec.Name, spec)
}

// ours gives the fields of the stack that the flags render to.
func ours(t *testing.T, dir string, flags stackfiles.Flags) fields {
	t.Helper()
	files, err := stackfiles.Read(t.Context(), flags, stackfiles.Options{Dir: dir})
	if err != nil {
		t.Logf("refused: %v", err)
		return fields{fails: fault.All(err)[0].Error()}
	}
	defer files.Wipe()
	all := fields{}
	for _, spec := range files.Stack.Services {
		all.service(spec)
	}
	for _, secret := range files.Stack.Secrets {
		all["secret "+secret.Spec.Name] = string(secret.Value.Reveal())
	}
	for name := range files.Stack.Networks {
		all["network "+name] = "exists"
	}
	return all
}

// script runs the old script in a folder, and gives the fields of the stack that the docker
// CLI makes of what the script gives to it.
func script(t *testing.T, dir string, flags stackfiles.Flags) fields {
	t.Helper()
	environment, ran := scripted(t, dir, flags)
	if !ran {
		return fields{fails: "docker stack deploy is not reached"}
	}
	for name, value := range environment {
		t.Setenv(name, value) // for a name without = in an env_file
	}
	all := fields{}
	if err := all.docker(dir, flags, environment); err != nil {
		t.Logf("docker stack deploy fails: %v", err)
		return fields{fails: "docker stack deploy fails"}
	}
	return all
}

// stub is the docker command that notes what the script runs it with.
const stub = `#!/bin/bash
if [ "$1 $2" = "stack deploy" ]; then env -0 > "$NOTES"; fi
`

// scripted runs the script, and gives the environment in which it runs docker stack deploy,
// if it does.
func scripted(t *testing.T, dir string, flags stackfiles.Flags) (map[string]string, bool) {
	t.Helper()
	absolute, err := filepath.Abs("testdata/deployment.sh")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "docker"), []byte(stub), 0o700); err != nil { //nolint:gosec // it is a program
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "bash", append([]string{absolute, "deploy"}, arguments(flags)...)...)
	command.Dir = dir
	notes := filepath.Join(bin, "environment")
	command.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "NOTES=" + notes}
	output, err := command.CombinedOutput()
	t.Logf("the script: %v\n%s", err, output)
	noted, err := os.ReadFile(notes)
	if errors.Is(err, os.ErrNotExist) {
		return nil, false
	}
	environment := map[string]string{}
	for one := range bytes.SplitSeq(noted, []byte{0}) {
		if name, value, ok := strings.Cut(string(one), "="); ok {
			environment[name] = value
		}
	}
	for _, own := range []string{"PATH", "PWD", "OLDPWD", "SHLVL", "_", "NOTES"} {
		delete(environment, own)
	}
	return environment, true
}

// arguments gives flags as the script reads them.
func arguments(flags stackfiles.Flags) []string {
	var all []string
	add := func(flag string, values ...string) {
		for _, value := range values {
			if value != "" {
				all = append(all, flag, value)
			}
		}
	}
	add("-n", flags.Node)
	add("-w", flags.Stack)
	add("-N", flags.Nodes...)
	add("-P", flags.Project...)
	add("-f", flags.Compose...)
	add("-s", flags.Secrets)
	if flags.Update {
		all = append(all, "-u")
	}
	return all
}

// docker adds what docker stack deploy would send, by the code of the docker CLI.
func (f fields) docker(dir string, flags stackfiles.Flags, environment map[string]string) (err error) {
	details := composetypes.ConfigDetails{WorkingDir: filepath.Dir(filepath.Join(dir, flags.Compose[0])), Environment: environment}
	for _, name := range flags.Compose {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		model, err := loader.ParseYAML(data)
		if err != nil {
			return err
		}
		details.ConfigFiles = append(details.ConfigFiles, composetypes.ConfigFile{Filename: name, Config: model})
	}
	details.Version = schema.Version(details.ConfigFiles[0].Config)
	config, err := loader.Load(details)
	if err != nil {
		return err
	}
	namespace := convert.NewNamespace(flags.Stack)
	used := map[string]struct{}{}
	for _, service := range config.Services {
		if len(service.Networks) == 0 {
			used["default"] = struct{}{}
		}
		for name := range service.Networks {
			used[name] = struct{}{}
		}
		spec, err := convert.Service("1.51", namespace, service, config.Networks, config.Volumes, nil, nil)
		if err != nil {
			return err
		}
		if _, err := reference.ParseAnyReference(service.Image); err != nil {
			return fmt.Errorf("image %q: %w", service.Image, err)
		}
		f.service(spec)
	}
	networks, _ := convert.Networks(namespace, config.Networks, used)
	for name := range networks {
		f["network "+name] = "exists"
	}
	secrets, err := convert.Secrets(namespace, config.Secrets)
	for _, secret := range secrets {
		f["secret "+secret.Name] = string(secret.Data)
	}
	return err
}

// differences lists the fields that differ, without what is in front of their names.
func differences(script, agent fields) []string {
	both := maps.Clone(script)
	maps.Copy(both, agent)
	var all []string
	for _, path := range slices.Sorted(maps.Keys(both)) {
		before, inScript := script[path]
		after, inAgent := agent[path]
		if before == after && inScript == inAgent {
			continue
		}
		if (script[fails] != "" || agent[fails] != "") && path != fails {
			continue
		}
		short := strings.TrimPrefix(path, "coin_app.TaskTemplate.ContainerSpec.")
		all = append(all, fmt.Sprintf("%s: script %s, agent %s", short, shown(before, inScript), shown(after, inAgent)))
	}
	return all
}

func shown(value string, is bool) string {
	if !is {
		return "none"
	}
	return fmt.Sprintf("%q", value)
}
