package secrets_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"coin.internal/coin-agent/secrets"
)

// lab has the real sops command and real keys of every kind. Its keys and its GnuPG home
// are in a folder of the test run.
var lab bench

type bench struct {
	dir, sops, gnupg string
	home             string   // a GnuPG home with only the curve and the locked key
	env              []string // more variables for the commands

	age, otherAge, ssh, rsa  string // recipients
	pgp, curvePGP, lockedPGP string // fingerprints
}

const pgpPassphrase = "open sesame"

func TestMain(m *testing.M) {
	flag.Parse()
	if worker := flag.Lookup("test.fuzzworker"); worker != nil && worker.Value.String() == "true" {
		os.Exit(m.Run()) // fuzzing does not need the lab, and has a process for each core
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "secrets")
		if err == nil {
			defer os.RemoveAll(dir) //nolint:errcheck // a test folder
			lab, err = newBench(dir)
			defer lab.close()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "prepare the test keys:", err)
			return 1
		}
		return m.Run()
	}())
}

func newBench(dir string) (b bench, err error) {
	b = bench{dir: dir, sops: filepath.Join(dir, "sops"), gnupg: filepath.Join(dir, "gnupg")}
	for tool, remedy := range map[string]string{"gpg": "gnupg", "age-keygen": "age", "ssh-keygen": "openssh-client", "go": "golang"} {
		if _, err := exec.LookPath(tool); err != nil {
			return b, fmt.Errorf("%s is missing: install %s", tool, remedy)
		}
	}
	if err := b.newHome(b.gnupg); err != nil {
		return b, err
	}
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", b.sops, "github.com/getsops/sops/v3/cmd/sops")
	if out, err := build.CombinedOutput(); err != nil {
		return b, fmt.Errorf("build sops: %w\n%s", err, out)
	}
	if b.age, err = b.newAge("age.key"); err != nil {
		return b, err
	}
	if b.otherAge, err = b.newAge("other.key"); err != nil {
		return b, err
	}
	if b.ssh, err = b.newSSH("ssh.key", "ed25519"); err != nil {
		return b, err
	}
	if b.rsa, err = b.newSSH("sshrsa.key", "rsa"); err != nil {
		return b, err
	}
	if b.pgp, err = b.newPGP("rsa", "rsa2048", ""); err != nil {
		return b, err
	}
	if b.curvePGP, err = b.newPGP("curve", "future-default", ""); err != nil {
		return b, err
	}
	b.lockedPGP, err = b.newPGP("locked", "rsa2048", pgpPassphrase)
	if err != nil {
		return b, err
	}
	b.home = b.path("home")
	if err := b.newHome(b.home); err != nil {
		return b, err
	}
	for _, key := range []string{"curve.gpg", "locked.gpg"} {
		if _, err := b.run("gpg", "--homedir", b.home, "--batch", "--import", b.path(key)); err != nil {
			return b, err
		}
	}
	return b, os.WriteFile(b.path("passphrase"), []byte(pgpPassphrase+"\n"), 0o600)
}

func (b bench) path(name string) string { return filepath.Join(b.dir, name) }

// close ends the key agents that gpg started.
func (b bench) close() {
	for _, home := range []string{b.gnupg, b.home} {
		if home != "" {
			_, _ = b.run("gpgconf", "--homedir", home, "--kill", "gpg-agent")
		}
	}
}

func (b bench) run(name string, args ...string) ([]byte, error) {
	command := exec.Command(name, args...)
	command.Dir = b.dir
	command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + b.dir, "GNUPGHOME=" + b.gnupg, "SOPS_AGE_KEY_FILE=" + b.path("age.key")}, b.env...)
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", name, args, err, problems.String())
	}
	return out.Bytes(), nil
}

// newHome makes a home of GnuPG. Its agent otherwise measures how often it has to hash a
// passphrase for that to take a tenth of a second, each time.
func (b bench) newHome(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "gpg-agent.conf"), []byte("s2k-count 65536\n"), 0o600)
}

func (b bench) newAge(name string) (recipient string, err error) {
	if _, err := b.run("age-keygen", "-o", b.path(name)); err != nil {
		return "", err
	}
	out, err := b.run("age-keygen", "-y", b.path(name))
	return strings.TrimSpace(string(out)), err
}

func (b bench) newSSH(name, kind string) (recipient string, err error) {
	if _, err := b.run("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", b.path(name)); err != nil {
		return "", err
	}
	public, err := os.ReadFile(b.path(name + ".pub"))
	return strings.TrimSpace(string(public)), err
}

func (b bench) newPGP(name, algorithm, passphrase string) (fingerprint string, err error) {
	batch := []string{"--batch", "--pinentry-mode", "loopback", "--passphrase", passphrase}
	if _, err := b.run("gpg", append(batch, "--quick-gen-key", name+"@example.test", algorithm, "default", "never")...); err != nil {
		return "", err
	}
	listing, err := b.run("gpg", "--list-keys", "--with-colons", name+"@example.test")
	if err != nil {
		return "", err
	}
	fingerprint = regexp.MustCompile(`(?m)^fpr:+([0-9A-F]{40}):`).FindStringSubmatch(string(listing))[1]
	if algorithm == "rsa2048" {
		if _, err := b.run("gpg", append(batch, "--quick-add-key", fingerprint, "rsa2048", "encr", "never")...); err != nil {
			return "", err
		}
	}
	for _, export := range []struct {
		file string
		args []string
	}{
		{name + ".asc", []string{"--armor", "--export-secret-keys"}},
		{name + ".gpg", []string{"--export-secret-keys"}},
		{name + ".sub.asc", []string{"--armor", "--export-secret-subkeys"}},
		{name + ".pub.asc", []string{"--armor", "--export"}},
	} {
		key, err := b.run("gpg", append(append(batch, export.args...), fingerprint)...)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(b.path(export.file), key, 0o600); err != nil {
			return "", err
		}
	}
	return fingerprint, nil
}

// encrypt encrypts text with the sops command.
func encrypt(tb testing.TB, kind, text string, args ...string) []byte {
	tb.Helper()
	plain := filepath.Join(tb.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	args = append(args, "-e", "--input-type", kind, "--output-type", kind, plain)
	out, err := lab.run(lab.sops, args...)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// toAge returns the arguments that encrypt to the lab's age key.
func toAge() []string { return []string{"--config", "/dev/null", "--age", lab.age} }

func ageKeys(tb testing.TB) *secrets.Keyring {
	tb.Helper()
	return load(tb, secrets.KeyFiles{Age: []string{lab.path("age.key")}})
}

func load(tb testing.TB, files secrets.KeyFiles) *secrets.Keyring {
	tb.Helper()
	keys, err := secrets.LoadKeys(files)
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

func open(tb testing.TB, keys *secrets.Keyring, files ...secrets.File) *secrets.Set {
	tb.Helper()
	set, err := keys.Open(files, secrets.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(set.Wipe)
	return set
}

// value returns the content of a secret, "(none)" or "(sealed)".
func value(set *secrets.Set, name, file string) string {
	found, ok := set.Lookup(name, file)
	switch {
	case !ok:
		return "(none)"
	case !found.Known():
		return "(sealed)"
	}
	return string(found.Reveal())
}
