package compose_test

import (
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
)

// modelsAlike checks that the model of a compose file equals the one that compose-go makes of
// the whole file, or that both are refused. It reports whether there is a model.
func modelsAlike(t *testing.T, data []byte) bool {
	t.Helper()
	ours, theirs := compose.Models(data)
	switch {
	case ours == nil:
		return false
	case (ours.Err == nil) != (theirs.Err == nil):
		t.Errorf("the error is %v, compose-go's is %v, of:\n%s", ours.Err, theirs.Err, data)
	case !cmp.Equal(theirs.Values, ours.Values):
		t.Errorf("the model differs from compose-go's:\n%s\nof:\n%s", cmp.Diff(theirs.Values, ours.Values), data)
	}
	return ours.Err == nil
}

// TestModelsAlike compares the models of all compose files of the examples and of the
// comparison with the docker CLI.
func TestModelsAlike(t *testing.T) {
	compared := 0
	for _, root := range []string{"../examples", "paritytest/testdata"} {
		err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
			if extension := path.Ext(name); err != nil || entry.IsDir() || extension != ".yml" && extension != ".yaml" {
				return err
			}
			data, err := os.ReadFile(path.Join(root, name))
			if modelsAlike(t, data) {
				compared++
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if compared < 20 {
		t.Errorf("%d files have models", compared)
	}
}

// TestKeysAlike compares the models of each key of the Compose specification.
func TestKeysAlike(t *testing.T) {
	compared := 0
	for _, one := range samples(t) {
		text := choice.ReplaceAllString(one.text, "$1")
		texts := []string{text}
		if strings.HasPrefix(one.path, "services.*.") && !strings.HasPrefix(text, "{") {
			key, _, _ := strings.Cut(strings.TrimPrefix(one.path, "services.*."), ".")
			texts = withKey(text, key)
		}
		for _, text := range texts {
			if modelsAlike(t, []byte(text)) {
				compared++
			}
		}
	}
	if compared < 200 {
		t.Errorf("%d files have models", compared)
	}
}

// withKey gives files with a service that has the key as in text, and with values of other
// types, each also with a second service that extends the first one.
func withKey(text, key string) []string {
	file := "x-a: {b: [c]}\nservices:\n  a:\n    image: i\n    " + text + "\n"
	files := []string{file, file + "  b: {extends: a, labels: [x=y, x=z], cap_add: [A, A]}\n"}
	for _, other := range []string{
		"", "1", "true", "a", "[]", "[a, a]", "[a=b, a=c]", "{}", "{a: b}", "{a: {b: c}}", "{1: b}", "[{}]", "{labels: [a=b, a=c]}", "{test: [a, a]}",
	} {
		one := "{image: i, " + key + ": " + other + "}"
		files = append(files, "services: {a: "+one+"}", "services: {a: "+one+", b: {extends: {service: a}}}")
	}
	return files
}

// TestObjectsAlike compares the models of files that have no services, or more than those.
func TestObjectsAlike(t *testing.T) {
	for _, text := range []string{
		"{}", "version: '3.8'", "x-a: {b: c}", "services: ", "services: {}", "services: []", "services: {a: }", "services: {a: [b]}", "{services: {a: {image: b}}, version: '3'}",
		"services: {a: {image: b, x-develop: {watch: [{path: ., action: sync, x-initialSync: true}]}}}", "{services: {a: {image: b}}, jobs: {c: {image: d, extends: c}}}",
		"services: {a: {extends: b}, b: {extends: c}, c: {image: d, cap_add: [e, e]}, f: {image: g, ports: ['80:80', '80:80']}}", "services: {a: {extends: a}}", "services: {a: {extends: z}}",
		"{services: {a: {image: b}}, secrets: {c: }}", "{services: {a: {image: b}}, secrets: {c: {}}}", "{services: {a: {image: b}}, secrets: []}", "{services: {a: {image: b}}, configs: {c: {file: d, content: e}}}",
		"{services: {a: {image: b}}, secrets: {c: {external: {name: d}}, e: {external: true, file: f}}, configs: {g: {environment: SET}, h: {content: i}}}",
		"{services: {a: {image: b}}, secrets: {c: {file: d, labels: [e=f, e=g]}, h: {driver: i}, j: {template_driver: k}, l: {name: m}}}",
		"{services: {a: {image: b, environment: {1: c}}}}", "{services: {a: {image: b}}, x-c: {1: d}}", "{services: {a: {image: b}}, y: c}",
		"{services: {a: {image: b}}, networks: {c: {labels: [d=e, d=f]}, g: }, volumes: {h: {external: true, driver: i}}}",
	} {
		modelsAlike(t, []byte(text))
	}
}
