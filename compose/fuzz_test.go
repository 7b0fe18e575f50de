package compose_test

import (
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/fuzzed"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// nextFile separates the files in an input of FuzzRender.
const nextFile = "\n# next file\n"

// FuzzRender uses any bytes as a compose file, and as part.yml, base.yml and part.env.
// Render must return a stack or faults, and the model of the file must be compose-go's.
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
	for _, several := range [][]string{
		{"include: [part.yml]\nservices: {a: {image: b, extends: {file: base.yml, service: c}}}", "services: {d: {image: $TAG_D}}", "services: {c: {image: $TAG, env_file: .env}}"},
		{"include: [{path: [part.yml, base.yml], project_directory: .., env_file: part.env}]\nservices: {a: {extends: d}}", "services: {d: {image: $X, volumes: ['./a:/a']}}", "services: {d: {ports: [80]}}", "X=1\nY='a$X'\n"},
		{"include: [part.yml]", "include: [base.yml]", "include: [part.yml]"},
		{"services: {a: {extends: {file: part.yml, service: a}}}", "services: {a: {extends: {file: base.yml, service: a}}}", "services: {a: {extends: {file: part.yml, service: a}}}"},
		{"include: [part.yml, base.yml]\nnetworks: {n: }", "networks: {n: {}}\nconfigs: {c: {file: ../c}}", "networks: {n: {internal: true}}\nsecrets: {s: {file: /s}}"},
		{"services: {a: {extends: {file: part.yml, service: b}, profiles: [x]}}", "x: &x {image: '$$a', extends: c}\nservices: {b: *x, c: {<<: *x, extends: {service: 1}}}"},
		{"include: [[], {}, {path: {}}, {path: [1]}, 1, ~]\nservices: {a: {extends: []}, b: {extends: {file: [], service: {}}}}", "", ""},
	} {
		f.Add([]byte(strings.Join(several, nextFile)))
	}
	node, err := manifests.Load(repository(map[string]string{"docker-compose.yml": "", "node.env": "TAG=1\nSET=x\n"}), "test", "n")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		files := map[string]string{}
		for i, text := range strings.SplitN(string(data), nextFile, 4) {
			files[[]string{"docker-compose.yml", "part.yml", "base.yml", "part.env"}[i]] = text
		}
		modelsAlike(t, []byte(files["docker-compose.yml"]))
		one := *node
		one.FS = repository(files)
		var stack *compose.Stack
		var err error
		fuzzed.Bounded(t, func() { stack, err = compose.Render(&one, &secrets.Set{}, compose.Options{AllowSealed: true}) })
		if (stack == nil) == (err == nil) {
			t.Fatalf("a stack %t and the error %v", stack != nil, err)
		}
		for _, one := range fault.All(err) {
			if _, ok := one.(*fault.Error); !ok { //nolint:errorlint // all are faults, unwrapped
				t.Errorf("%v is not a fault", one)
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
