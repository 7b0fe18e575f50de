package contexts_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/deploy/contexts"
	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/sync/gittest"
)

func TestMain(m *testing.M) { os.Exit(swarmtest.Main(m)) }

// folder gives a folder of the docker CLI's configuration with contexts that the real
// `docker context create` makes: name → value of --docker.
func folder(t *testing.T, all map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, endpoint := range all {
		run(t, dir, "context", "create", name, "--docker", endpoint)
	}
	return dir
}

// damaged gives a folder with the context node3, whose file has another text.
func damaged(t *testing.T, text string) string {
	t.Helper()
	dir := folder(t, map[string]string{"node3": "host=tcp://127.0.0.1:1"})
	files, err := filepath.Glob(filepath.Join(dir, "contexts/meta/*/meta.json"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	write(t, files[0], text)
	return dir
}

func run(t *testing.T, dir string, arguments ...string) {
	t.Helper()
	command := exec.Command("docker", arguments...)
	command.Env = append(os.Environ(), "DOCKER_CONFIG="+dir)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
}

// Each kind of endpoint leads to the same engine. The docker CLI's folder stays as it is.
func TestContextsReachTheEngine(t *testing.T) {
	engine := swarmtest.Engine(t)
	info, err := engine.API.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	socket := strings.TrimPrefix(engine.Host, "unix://")
	made := keys(t)
	plain, secured := forward(t, socket, nil), forward(t, socket, made.server)
	sshd := gittest.SSH(t, socket, gittest.Options{})
	t.Setenv("PATH", sshWith(t, sshd)+":"+os.Getenv("PATH"))

	files := ",ca=" + made.file("ca.pem") + ",cert=" + made.file("cert.pem") + ",key=" + made.file("key.pem")
	tests := map[string]struct{ endpoint, warning string }{
		"wlt-sbx-dkapp3-ams": {"host=" + engine.Host, ""},
		"secured":            {"host=tcp://" + secured + files, ""},
		"unverified":         {"host=tcp://" + secured + files + ",skip-tls-verify=true", "does not verify the certificate"},
		"plaintext":          {"host=tcp://" + plain, "without TLS"},
		"far":                {"host=" + sshd.URL, ""},
	}
	all := map[string]string{}
	for name, test := range tests {
		all[name] = test.endpoint
	}
	dir := folder(t, all)
	run(t, dir, "context", "use", "plaintext")
	before := content(t, dir)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			found, err := contexts.In(dir).Find(name)
			if err != nil {
				t.Fatal(err)
			}
			if warning := found.Warning(); (test.warning == "") != (warning == "") || !strings.Contains(warning, test.warning) {
				t.Errorf("warning %q, want %q", warning, test.warning)
			}
			api, err := found.Client()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = api.Close() }()
			got, err := api.Info(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got.Swarm.NodeID != info.Swarm.NodeID {
				t.Errorf("reached node %q, want %q", got.Swarm.NodeID, info.Swarm.NodeID)
			}
		})
	}
	if diff := cmp.Diff(before, content(t, dir)); diff != "" {
		t.Errorf("the docker CLI's folder changed (-before +after):\n%s", diff)
	}
}

// A server that another authority vouches for is refused, and so is a client without a certificate.
func TestTLSIsVerified(t *testing.T) {
	made, other := keys(t), keys(t)
	address := forward(t, "/nowhere.sock", made.server)
	dir := folder(t, map[string]string{
		"forged":  "host=tcp://" + address + ",ca=" + other.file("ca.pem") + ",cert=" + made.file("cert.pem") + ",key=" + made.file("key.pem"),
		"unknown": "host=tcp://" + address + ",ca=" + made.file("ca.pem"),
	})
	for name, want := range map[string]string{"forged": "certificate", "unknown": "certificate required"} {
		found, err := contexts.In(dir).Find(name)
		if err != nil {
			t.Fatal(err)
		}
		api, err := found.Client()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := api.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		_ = api.Close()
	}
}

func TestFaults(t *testing.T) {
	dir := folder(t, map[string]string{"node3": "host=tcp://127.0.0.1:1", "node4": "host=tcp://127.0.0.1:2"})
	broken, without, pipe := damaged(t, `{"Name":"node3`), damaged(t, `{"Name":"node3","Endpoints":{}}`),
		damaged(t, `{"Name":"node3","Endpoints":{"docker":{"Host":"npipe:////./pipe/docker"}}}`)
	moved := damaged(t, `{"Name":"node4","Endpoints":{"docker":{"Host":"tcp://127.0.0.1:2"}}}`)
	tests := map[string]struct{ folder, name, message, hint string }{
		"another name":  {dir, "production", `no Docker context "production" in ` + dir, "name one of these contexts: default, node3, node4"},
		"a similar one": {dir, "nod3", `no Docker context "nod3" in ` + dir, "do you mean node3? The contexts are: default, node3, node4"},
		"no name":       {dir, "", `no Docker context "" in `, "default, node3, node4"},
		"a path":        {dir, "../node3", `no Docker context "../node3"`, "node3, node4"},
		"escapes":       {dir, "a\x1b[2J", `no Docker context "a\\x1b[2J"`, "node3, node4"},
		"no folder":     {filepath.Join(dir, "none"), "node3", `no Docker context "node3"`, "name one of these contexts: default"},
		"Windows' pipe": {pipe, "node3", `has the endpoint "npipe:////./pipe/docker", which the agent cannot use`, "tcp://host:port"},
		"broken file":   {broken, "node3", "unexpected end of JSON input", "docker context inspect node3"},
		"other name":    {moved, "node3", `it has the name "node4" in its file`, "docker context inspect node3"},
		"no endpoint":   {without, "node3", "cannot find docker endpoint in context", "docker context inspect node3"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := contexts.In(test.folder).Find(test.name)
			if err == nil || !strings.Contains(err.Error(), test.message) || !strings.Contains(fault.Hint(err), test.hint) {
				t.Errorf("got %v\nhint: %s\nwant %s\nhint: %s", err, fault.Hint(err), test.message, test.hint)
			}
		})
	}
}

// Without a name, the context is the one that the docker CLI would take.
func TestCurrent(t *testing.T) {
	dir := folder(t, map[string]string{"node3": "host=tcp://127.0.0.1:1", "node4": "host=tcp://127.0.0.1:2"})
	run(t, dir, "context", "use", "node4")
	tests := map[string]struct{ host, context, want, endpoint string }{
		"set by `docker context use`": {want: "node4", endpoint: "tcp://127.0.0.1:2"},
		"DOCKER_CONTEXT":              {context: "node3", want: "node3", endpoint: "tcp://127.0.0.1:1"},
		"DOCKER_HOST":                 {host: "tcp://127.0.0.1:3", context: "node3", want: "default", endpoint: "tcp://127.0.0.1:3"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DOCKER_HOST", test.host)
			t.Setenv("DOCKER_CONTEXT", test.context)
			t.Setenv("DOCKER_CONFIG", dir)
			all := contexts.In(contexts.Folder())
			got, err := all.Current()
			if err != nil || got != test.want {
				t.Fatalf("got %q, %v, want %q", got, err, test.want)
			}
			found, err := all.Find(got)
			if err != nil || found.Host != test.endpoint {
				t.Errorf("got %q, %v, want %q", found.Host, err, test.endpoint)
			}
		})
	}
}

// The context `default` takes certificates as the docker CLI takes them.
func TestDefaultWithTLS(t *testing.T) {
	made := keys(t)
	t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
	t.Setenv("DOCKER_CERT_PATH", made.folder)
	for verify, want := range map[string]string{"": "without TLS", "1": ""} {
		t.Setenv("DOCKER_TLS_VERIFY", verify)
		found, err := contexts.In(t.TempDir()).Find(contexts.Default)
		if err != nil {
			t.Fatal(err)
		}
		if warning := found.Warning(); (want == "") != (warning == "") || !strings.Contains(warning, want) {
			t.Errorf("DOCKER_TLS_VERIFY=%q: warning %q, want %q", verify, warning, want)
		}
	}
}

// content gives all files below a folder.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, path))
		files[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
