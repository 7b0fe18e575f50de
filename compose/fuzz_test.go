package compose_test

import (
	"io/fs"
	"os"
	"path"
	"testing"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// FuzzRender gives any bytes as a compose file: Render must answer with a stack or
// with faults.
func FuzzRender(f *testing.F) {
	for _, root := range []string{"../examples/coin-gitops", "paritytest/testdata"} {
		err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
			if extension := path.Ext(name); err != nil || entry.IsDir() || extension != ".yml" && extension != ".yaml" {
				return err
			}
			data, err := os.ReadFile(path.Join(root, name))
			f.Add(data)
			return err
		})
		if err != nil {
			f.Fatal(err)
		}
	}
	for _, odd := range []string{
		"services: &s\n  <<: *s\n", "services: {a: {image: b, ulimits: {nofile: {}}}}", "services: {a: {image: b, extra_hosts: 1}}",
		"services: {a: {image: b, environment: [1]}}", "services: {? [a] : b}", "services: {a: {image: b, deploy: {resources: {limits: {memory: 1.5}}}}}",
		"networks: {a: }\nvolumes: {b: }\nsecrets: {c: {external: {name: d}}}\n", "a: !reset b", "services: {a: {image: b, build: [], ports: [{}]}}",
		"services: {a: {image: b, volumes: [{type: bind}], secrets: [{}], configs: [{}]}}", "services: {a: {image: b, networks: {c: []}}}",
		"x: &x [*x]", "services: !!set {a}", "services: {a: {image: b, command: [[]], healthcheck: {test: {}}}}",
	} {
		f.Add([]byte(odd))
	}
	node, err := manifests.Load(repository(map[string]string{"docker-compose.yml": "", "node.env": "TAG=1\nSET=x\n"}), "test", "n")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		one := *node
		one.FS = repository(map[string]string{"docker-compose.yml": string(data)})
		stack, err := compose.Render(&one, &secrets.Set{}, compose.Options{AllowSealed: true})
		if (stack == nil) == (err == nil) {
			t.Fatalf("a stack %t and the error %v", stack != nil, err)
		}
		for _, one := range fault.All(err) {
			if _, ok := one.(*fault.Error); !ok { //nolint:errorlint // all are faults, unwrapped
				t.Errorf("%v is no fault", one)
			}
		}
		if stack != nil {
			if _, err := stack.Specs(); err != nil {
				t.Error(err)
			}
			if _, err := stack.YAML(); err != nil {
				t.Error(err)
			}
		}
	})
}
