package paritytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/docker/cli/cli/compose/convert"
	"github.com/docker/cli/cli/compose/loader"
	"github.com/docker/cli/cli/compose/schema"
	composetypes "github.com/docker/cli/cli/compose/types"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"
	dockerclient "github.com/docker/docker/client"

	"coin.internal/coin-agent/manifests"
)

// inProcess does the same as `docker stack deploy` in dir with exactly the given
// variables, by the code of the docker CLI.
func inProcess(t *testing.T, node *manifests.Node, dir string, variables map[string]string) (sent *bodies, err error) {
	t.Helper()
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause)
		}
	}()
	environment := scripted(t, variables)
	for name, value := range environment {
		t.Setenv(name, value) // for a name without = in an env_file
	}
	details := composetypes.ConfigDetails{WorkingDir: dir, Environment: environment}
	for _, name := range node.ComposeFiles {
		data, err := os.ReadFile(filepath.Join(dir, path.Base(name)))
		if err != nil {
			t.Fatal(err)
		}
		dict, err := loader.ParseYAML(data)
		if err != nil {
			return nil, err
		}
		details.ConfigFiles = append(details.ConfigFiles, composetypes.ConfigFile{Filename: name, Config: dict})
	}
	details.Version = schema.Version(details.ConfigFiles[0].Config)
	config, err := loader.Load(details)
	if err != nil {
		return nil, err
	}
	for _, service := range config.Services {
		if _, err := reference.ParseAnyReference(service.Image); err != nil || service.Image == "" {
			return nil, fmt.Errorf("service %s: image %q: %w", service.Name, service.Image, err)
		}
	}
	sent = &bodies{}
	return sent, post(t, sent, node.Stack, config)
}

// scripted adds the variables that deployment.sh sets to those of node.env: every TAG_
// and SV_ variable of the grammar.
func scripted(t *testing.T, variables map[string]string) map[string]string {
	t.Helper()
	environment := maps.Clone(variables)
	environment["PROJECT_SETTINGS"] = ".project.tmp.env"
	defaults := map[string]string{"TAG_UNSET": environment["TAG"], "TAG_NONE": environment["TAG"]}
	for _, section := range sections {
		for _, key := range objects[section] {
			defaults["SV_"+key] = "0"
		}
	}
	for name, value := range defaults {
		if environment[name] == "" {
			environment[name] = value
		}
	}
	return environment
}

// post converts and sends a stack as `docker stack deploy` does, with docker's client,
// to an engine that has every secret and config.
func post(t *testing.T, sent *bodies, stack string, config *composetypes.Config) error {
	t.Helper()
	engine, err := dockerclient.NewClientWithOpts(dockerclient.WithHTTPClient(&http.Client{Transport: transport{sent}}), dockerclient.WithVersion("1.51"))
	if err != nil {
		t.Fatal(err)
	}
	namespace := convert.NewNamespace(stack)
	used := map[string]struct{}{}
	for _, service := range config.Services {
		if len(service.Networks) == 0 {
			used["default"] = struct{}{}
		}
		for name := range service.Networks {
			used[name] = struct{}{}
		}
	}
	networks, _ := convert.Networks(namespace, config.Networks, used)
	for name, options := range networks {
		if options.Driver == "" {
			options.Driver = "overlay"
		}
		if _, err := engine.NetworkCreate(t.Context(), name, options); err != nil {
			return err
		}
	}
	secrets, err := convert.Secrets(namespace, config.Secrets)
	if err != nil {
		return err
	}
	for _, one := range secrets {
		if _, err := engine.SecretCreate(t.Context(), one); err != nil {
			return err
		}
	}
	configs, err := convert.Configs(namespace, config.Configs)
	if err != nil {
		return err
	}
	for _, one := range configs {
		if _, err := engine.ConfigCreate(t.Context(), one); err != nil {
			return err
		}
	}
	services, err := convert.Services(t.Context(), namespace, config, engine)
	if err != nil {
		return err
	}
	for _, one := range services {
		if _, err := engine.ServiceCreate(t.Context(), one, swarm.ServiceCreateOptions{}); err != nil {
			return err
		}
	}
	return sent.fault
}

// transport is an engine that records created objects, and has every requested secret
// and config.
type transport struct{ sent *bodies }

func (e transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var answer any = map[string]string{"ID": "new"}
	if match := created.FindStringSubmatch(r.URL.Path); match != nil {
		body, err := io.ReadAll(r.Body)
		e.sent.add(match[1], body, err)
	} else {
		asked, err := filters.FromJSON(r.URL.Query().Get("filters"))
		if err != nil {
			return nil, err
		}
		objects := []map[string]any{}
		for _, name := range asked.Get("name") {
			objects = append(objects, map[string]any{"ID": "id-" + name, "Spec": map[string]string{"Name": name}})
		}
		answer = objects
	}
	data, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	status := http.StatusOK
	if strings.HasSuffix(r.URL.Path, "/create") {
		status = http.StatusCreated
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(bytes.NewReader(data)), Request: r,
	}, nil
}
