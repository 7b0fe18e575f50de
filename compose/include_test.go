package compose_test

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"coin.internal/coin-agent/compose"
)

// bound returns a repository with base.bind_root.
const bound = config + "base: {bind_root: /srv/coin}\n"

// outline returns a short description of a stack.
func outline(stack *compose.Stack) []string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(stack.Services)) {
		container := stack.Services[name].TaskTemplate.ContainerSpec
		line := fmt.Sprintf("%s %s %s", strings.TrimPrefix(name, "shop_"), container.Image, strings.Join(container.Env, " "))
		for _, mount := range container.Mounts {
			line += " " + mount.Source + ":" + mount.Target
		}
		for _, secret := range container.Secrets {
			line += " secret=" + secret.SecretName
		}
		lines = append(lines, strings.TrimSpace(line))
	}
	for _, name := range slices.Sorted(maps.Keys(stack.Networks)) {
		if name != "shop_default" {
			lines = append(lines, "network "+name)
		}
	}
	for _, secret := range stack.Secrets {
		lines = append(lines, "secret "+secret.Spec.Name+" "+secret.Variable)
	}
	for _, one := range stack.Configs {
		lines = append(lines, "config "+one.Spec.Name+" "+string(one.Spec.Data))
	}
	return lines
}

// rendered is a table of repositories and their expected stacks.
type rendered map[string]struct {
	files map[string]string
	want  []string
}

func (table rendered) run(t *testing.T) {
	t.Helper()
	for name, test := range table {
		t.Run(name, func(t *testing.T) {
			stack, err := renderFiles(t, test.files)
			if err != nil {
				t.Fatal(err)
			}
			if got := outline(stack); !slices.Equal(got, test.want) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
			if warnings := stack.Warnings; len(warnings) > 0 {
				t.Errorf("warnings: %v", warnings)
			}
			for form, print := range map[string]func() ([]byte, error){"specs": stack.Specs, "yaml": stack.YAML} {
				if text, err := print(); err != nil || strings.Contains(string(text), "base-of") {
					t.Errorf("%s: %v\n%s", form, err, text)
				}
			}
		})
	}
}

func TestInclude(t *testing.T) {
	rendered{
		"short": {
			map[string]string{"docker-compose.yml": "include: [parts/web.yml]\n", "parts/web.yml": "services:\n  web:\n    image: web:$TAG_WEB\n"},
			[]string{"web web:1"},
		},
		"outside the node": {
			map[string]string{"docker-compose.yml": app + "include:\n  - ../../../../common/web.yml\n", "/common/web.yml": "services:\n  web:\n    image: web:1\n"},
			[]string{"app nginx:1", "web web:1"},
		},
		"path with a variable": {
			map[string]string{"node.env": "TAG=1\nPART=web\n", "docker-compose.yml": app + "include:\n  - path: parts/${PART}.yml\n", "parts/web.yml": "services:\n  web:\n    image: web:1\n"},
			[]string{"app nginx:1", "web web:1"},
		},
		"several paths": { // merged as Compose merges: the command is replaced, the environment merged
			map[string]string{
				"docker-compose.yml": "include:\n  - path: [parts/web.yml, parts/more.yml]\n",
				"parts/web.yml":      "services:\n  web:\n    image: web:1\n    environment: {A: 1, B: 1}\n    env_file: a.env\n",
				"parts/more.yml":     "services:\n  web:\n    environment: {B: 2}\n    env_file: b.env\n",
				"parts/a.env":        "X=1\nY=1\n", "parts/b.env": "Y=2\n",
			},
			[]string{"web web:1 A=1 B=2 X=1 Y=2"},
		},
		"paths start from its folder": {
			map[string]string{
				"/environments/test/config.yml": bound + "allow_plaintext_secrets: true\n",
				"docker-compose.yml":            app + "include: [parts/web.yml]\n",
				"parts/web.yml": "services:\n  web:\n    image: web:1\n    env_file: [web.env, ../own.env]\n    volumes: ['./data:/data', '/abs:/abs', 'named:/named']\n" +
					"    secrets: [db]\n    configs: [c]\nvolumes: {named: {}}\nsecrets: {db: {file: ../secrets/db, name: db.$SV_db}}\nconfigs: {c: {file: c.conf}}\n",
				"parts/web.env": "A=1\n", "own.env": "B=2\n", "parts/c.conf": "conf", "secrets/db": "x",
			},
			[]string{"app nginx:1", "web web:1 A=1 B=2 /srv/coin/parts/data:/data /abs:/abs shop_named:/named secret=db.0", "secret db.0 SV_db", "config shop_c conf"},
		},
		"project_directory": {
			map[string]string{
				"docker-compose.yml": app + "include:\n  - path: parts/web.yml\n    project_directory: .\n",
				"parts/web.yml":      "include: [parts/db.yml]\nservices:\n  web:\n    image: web:1\n    env_file: web.env\n    extends: {file: parts/base.yml, service: base}\n",
				"parts/db.yml":       "services:\n  db:\n    image: db:1\n", "parts/base.yml": "services:\n  base:\n    environment: [B=1]\n", "web.env": "A=1\n",
			},
			[]string{"app nginx:1", "db db:1", "web web:1 A=1 B=1"},
		},
		"nested": {
			map[string]string{
				"docker-compose.yml": app + "include: [a/a.yml]\n",
				"a/a.yml":            "include: [../b/b.yml]\nservices:\n  a:\n    image: a:1\n    env_file: x.env\n",
				"b/b.yml":            "services:\n  b:\n    image: b:1\n    env_file: x.env\n",
				"a/x.env":            "X=a\n", "b/x.env": "X=b\n",
			},
			[]string{"a a:1 X=a", "app nginx:1", "b b:1 X=b"},
		},
		"by two ways": {
			map[string]string{
				"docker-compose.yml": app + "include: [a/a.yml, b/b.yml]\n", "c.yml": "services:\n  c:\n    image: c:1\n    ports: ['80:80']\nnetworks: {n: {}}\n",
				"a/a.yml": "include: [../c.yml]\n", "b/b.yml": "include: [../c.yml]\n",
			},
			[]string{"app nginx:1", "c c:1"},
		},
		"one network in both": {
			map[string]string{
				"docker-compose.yml": app + "    networks: [n]\nnetworks: {n: {driver_opts: {a: $TAG}}}\ninclude: [c.yml]\n",
				"c.yml":              "services:\n  c:\n    image: c:1\n    networks: [n]\nnetworks:\n  n:\n    driver_opts:\n      a: '1'\n",
			},
			[]string{"app nginx:1", "c c:1", "network shop_n"},
		},
		"extended by the file that includes": {
			map[string]string{
				"docker-compose.yml": "include: [c.yml]\nservices:\n  app:\n    extends: c\n    environment: {B: 2}\n",
				"c.yml":              "services:\n  c:\n    image: c:1\n    environment: {A: '$$1'}\n",
			},
			[]string{"app c:1 A=$1 B=2", "c c:1 A=$1"},
		},
		"overridden by a later file": { // as docker merges the node's files
			map[string]string{
				"docker-compose.yml": "include: [parts/c.yml]\n", "docker-compose-b.yml": "services:\n  c:\n    image: c:2\n",
				"parts/c.yml": "services:\n  c:\n    image: c:1\n    environment: {A: 1}\n",
			},
			[]string{"c c:2 A=1"},
		},
		"the node's settings": {
			map[string]string{
				"project.env": "CLIENT_API_X=1\n", "docker-compose.yml": app + "include: [../../common/web.yml]\n",
				"/environments/test/common/web.yml": "services:\n  web:\n    image: web:1\n    env_file: $PROJECT_SETTINGS\n  client:\n    image: web:1\n    env_file: [.project.client.tmp.env]\n",
			},
			[]string{"app nginx:1", "client web:1 API_X=1", "web web:1 CLIENT_API_X=1 COMMON=1"},
		},
	}.run(t)
}

// TestLabelFilesAndDevices checks that these paths, too, start from the folder of the
// file that names them.
func TestLabelFilesAndDevices(t *testing.T) {
	const volumes = "    volumes: ['vol:/vol', 'abs:/abs']\nvolumes:\n  vol: {driver_opts: {type: none, o: 'rw,bind', device: ./data}}\n  abs: {driver_opts: {type: none, o: bind, device: /abs}}\n"
	for name, test := range map[string]struct {
		files  map[string]string
		labels map[string]string
		device string
	}{
		"own": {
			map[string]string{"docker-compose.yml": app + "    label_file: [a.labels, parts/b.labels]\n    labels: {B: own}\n" + volumes, "a.labels": "A=1\nB=1\n", "parts/b.labels": "A=2\n"},
			map[string]string{"A": "2", "B": "own"},
			"/srv/coin/data",
		},
		"included": {
			map[string]string{"docker-compose.yml": "include: [parts/app.yml]\n", "parts/app.yml": app + "    label_file: a.labels\n" + volumes, "parts/a.labels": "A=1\n"},
			map[string]string{"A": "1"},
			"/srv/coin/parts/data",
		},
		"extended": {
			map[string]string{
				"docker-compose.yml": "services:\n  app:\n    extends: {file: parts/base.yml, service: app}\n    label_file: a.labels\n" + volumes,
				"parts/base.yml":     app + "    label_file: [a.labels, ../b.labels]\n", "parts/a.labels": "A=base\nB=base\n", "a.labels": "A=own\n", "b.labels": "C=base\n",
			},
			map[string]string{"A": "own", "B": "base", "C": "base"},
			"/srv/coin/data",
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.files["/environments/test/config.yml"] = bound
			stack, err := renderFiles(t, test.files)
			if err != nil {
				t.Fatal(err)
			}
			container := stack.Services["shop_app"].TaskTemplate.ContainerSpec
			delete(container.Labels, compose.LabelStack)
			if !maps.Equal(container.Labels, test.labels) {
				t.Errorf("labels %v, want %v", container.Labels, test.labels)
			}
			devices := map[string]string{}
			for _, mount := range container.Mounts {
				devices[mount.Target] = mount.VolumeOptions.DriverConfig.Options["device"]
			}
			if want := map[string]string{"/vol": test.device, "/abs": "/abs"}; !maps.Equal(devices, want) {
				t.Errorf("devices %v, want %v", devices, want)
			}
		})
	}
}

// TestIncludeVariables checks that only the included files get the variables of the
// include's env_file.
func TestIncludeVariables(t *testing.T) {
	const web = "services:\n  web:\n    image: web:${V:-none}\n"
	rendered{
		"env_file": {
			map[string]string{
				"docker-compose.yml": "services:\n  app:\n    image: app:${V:-none}\n    environment: [V]\ninclude:\n  - {path: parts/web.yml, env_file: [a.env, b.env]}\n",
				"a.env":              "V=a\nW='$x'\n", "b.env": "V=${V}b # comment\n",
				"parts/web.yml": web + "    environment: [V, W, NOWHERE]\n",
			},
			[]string{"app app:none V", "web web:ab NOWHERE V=ab W=$x"},
		},
		"node.env wins": {
			map[string]string{
				"node.env": "TAG=1\nV=node\n", "a.env": "V=a\n", "parts/web.yml": web,
				"docker-compose.yml": app + "include:\n  - {path: parts/web.yml, env_file: a.env}\n",
			},
			[]string{"app nginx:1", "web web:node"},
		},
		"config.yml last": {
			map[string]string{
				"docker-compose.yml": "services:\n  app:\n    image: app:$NODE_NAME\n    environment: [NODE_NAME, STACK_NAME]\ninclude:\n  - {path: parts/web.yml, env_file: a.env}\n",
				"a.env":              "NODE_NAME=a\n", "parts/web.yml": "services:\n  web:\n    image: web:$NODE_NAME.$ENVIRONMENT\n",
			},
			[]string{"app app:n NODE_NAME=n STACK_NAME=shop", "web web:a.test"},
		},
		".env beside it": {
			map[string]string{"docker-compose.yml": app + "include: [parts/web.yml]\n", "parts/.env": "V=beside\n", ".env": "V=no\n", "parts/web.yml": web},
			[]string{"app nginx:1", "web web:beside"},
		},
		"no .env": {
			map[string]string{"docker-compose.yml": app + "include:\n  - {path: parts/web.yml, env_file: /dev/null}\n", "parts/.env": "V=beside\n", "parts/web.yml": web},
			[]string{"app nginx:1", "web web:none"},
		},
		"nested and extended": {
			map[string]string{
				"docker-compose.yml": app + "include:\n  - {path: parts/a.yml, env_file: a.env}\n", "a.env": "V=a\nW=a\n", "b.env": "V=b\nX=b\n",
				"parts/a.yml":    "include:\n  - {path: web.yml, env_file: ../b.env}\nservices:\n  a:\n    image: a:${X:-none}\n    extends: {file: base.yml, service: base}\n",
				"parts/web.yml":  web + "    environment: {W: $W, X: $X}\n",
				"parts/base.yml": "services:\n  base:\n    environment: {V: $V}\n",
			},
			[]string{"a a:none V=a", "app nginx:1", "web web:a W=a X=b"},
		},
		"TAG_ and SV_": {
			map[string]string{
				"docker-compose.yml": "services:\n  app:\n    image: app:$TAG_APP\n    environment: [TAG_WEB, TAG_APP, SV_c]\ninclude:\n  - {path: parts/web.yml, env_file: a.env}\n",
				"a.env":              "TAG_WEB=7\nSV_c=8\n", "parts/c.conf": "x",
				"parts/web.yml": "services:\n  web:\n    image: web:$TAG_WEB\n    environment: {B: $TAG_B}\nconfigs: {c: {file: c.conf, name: c.$SV_c}}\n",
			},
			[]string{"app app:1 SV_c=0 TAG_APP=1 TAG_WEB=1", "web web:7 B=1", "config c.8 x"},
		},
	}.run(t)
}

// recorder records the files that are opened.
type recorder struct {
	fstest.MapFS
	opened map[string]bool
}

func (r recorder) Open(name string) (fs.File, error) {
	r.opened[name] = true
	return r.MapFS.Open(name)
}

func (r recorder) ReadFile(name string) ([]byte, error) {
	r.opened[name] = true
	return r.MapFS.ReadFile(name)
}

func (r recorder) Lstat(name string) (fs.FileInfo, error) {
	r.opened[name] = true
	return r.MapFS.Lstat(name)
}

func (r recorder) Stat(name string) (fs.FileInfo, error) {
	r.opened[name] = true
	return r.MapFS.Stat(name)
}

// TestOtherFilesAreInputs checks that Render reads every included and extended file,
// and the files that they name, through the node's file system, even if they do not
// exist. The agent records these reads as the node's inputs.
func TestOtherFilesAreInputs(t *testing.T) {
	fsys := recorder{repository(map[string]string{
		"docker-compose.yml": "include: [parts/web.yml, {path: parts/db.yml, env_file: db.vars}]\nservices:\n  app:\n    extends: {file: ../../../../common/base.yml, service: base}\n",
		"parts/web.yml":      "services:\n  web:\n    image: web:1\n    env_file: [web.env, {path: no.env, required: false}]\nconfigs: {c: {file: c.conf}}\n",
		"parts/db.yml":       "services:\n  db:\n    image: db:1\n", "db.vars": "A=1\n",
		"parts/web.env": "A=1\n", "parts/c.conf": "x", "/common/base.env": "A=1\n",
		"/common/base.yml": "services:\n  base:\n    image: base:1\n    env_file: base.env\n",
	}), map[string]bool{}}
	if _, err := render(t, fsys, "test", "n"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"parts/web.yml", "parts/.env", "parts/web.env", "parts/no.env", "parts/c.conf", "parts/db.yml", "db.vars"} {
		if !fsys.opened[nodeDir+name] {
			t.Errorf("%s was not opened", name)
		}
	}
	for _, name := range []string{"common/base.yml", "common/base.env"} {
		if !fsys.opened[name] {
			t.Errorf("%s was not opened", name)
		}
	}
}

// TestOtherFileWarnings checks that a warning has the place of the file that causes it.
func TestOtherFileWarnings(t *testing.T) {
	stack, err := renderFiles(t, map[string]string{
		"/environments/test/config.yml": config + "interpolation: lenient\n",
		"docker-compose.yml":            "include: [part.yml]\nservices:\n  app:\n    extends: {file: base.yml, service: base}\n",
		"part.yml":                      "services:\n  web:\n    image: web:1\n    container_name: web\n    user: $NO\n  off:\n    image: web:1\n    profiles: [x]\n",
		"base.yml":                      "services:\n  base:\n    image: base:1\n    hostname: $NO\n    container_name: base\n    expose: ['80']\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	var places []string
	for _, warning := range stack.Warnings {
		places = append(places, strings.TrimPrefix(warning.Place.String(), nodeDir))
	}
	slices.Sort(places)
	if want := []string{"base.yml:4", "base.yml:5", "base.yml:6", "part.yml:4", "part.yml:5", "part.yml:8"}; !slices.Equal(places, want) {
		t.Errorf("warnings %v", stack.Warnings)
	}
}

// TestManyIncludes checks the limit of included files.
func TestManyIncludes(t *testing.T) {
	files := map[string]string{"docker-compose.yml": app + "include: [0.yml]\n"}
	for i := range 20 {
		files[fmt.Sprintf("%d.yml", i)] = fmt.Sprintf("include: [%d.yml, %[1]d.yml]\n", i+1)
	}
	files["20.yml"] = "services: {}\n"
	_, err := renderFiles(t, files)
	if got := describe(t, err); len(got) == 0 || !strings.HasSuffix(got[0], ".yml:1: the number of included and extended files is more than 500: limits.includes allows 500") {
		t.Errorf("got %q", got)
	}
}
