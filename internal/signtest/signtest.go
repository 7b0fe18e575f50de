// Package signtest makes keys with gpg and ssh-keygen, and has git sign with them.
package signtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Key signs for git.
type Key struct {
	Public string // an armored OpenPGP key, or a line of an SSH public key without a comment
	ID     string // the long ID of an OpenPGP key, or the fingerprint of an SSH key

	config [][2]string // of git
	gpg    func(args ...string) string
}

// OpenPGP makes an OpenPGP key of a user such as "Ada <ada@coin.example>". expires is for
// gpg: never, 1d, 2y. at is the time at which gpg believes to be, for this and for all that
// the key signs; zero for now.
func OpenPGP(tb testing.TB, user, expires string, at time.Time) Key {
	tb.Helper()
	home, err := os.MkdirTemp("", "gpg") //nolint:usetesting // the path of a socket of gpg must be short
	if err != nil {
		tb.Fatal(err)
	}
	program := filepath.Join(home, "gpg")
	clock := ""
	if !at.IsZero() {
		clock = "--faked-system-time " + fmt.Sprint(at.Unix()) + "!"
	}
	script := "#!/bin/sh\nexec gpg --homedir " + home + " --no-tty --batch --pinentry-mode loopback --passphrase '' " + clock + " \"$@\"\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		_ = os.RemoveAll(home)
	})
	gpg := func(args ...string) string { tb.Helper(); return run(tb, program, args...) }
	gpg("--quick-gen-key", user, "ed25519", "sign", expires)
	key := Key{Public: gpg("--armor", "--export") + "\n", gpg: gpg}
	for line := range strings.SplitSeq(gpg("--list-keys", "--with-colons"), "\n") {
		if fields := strings.Split(line, ":"); fields[0] == "pub" {
			key.ID = fields[4]
		}
	}
	key.config = [][2]string{{"gpg.format", "openpgp"}, {"gpg.program", program}, {"user.signingkey", key.ID}}
	return key
}

// GPG runs gpg with the key, and gives its output.
func (k Key) GPG(args ...string) string { return k.gpg(args...) }

// Revoked revokes an OpenPGP key, and gives its public key with that.
func (k Key) Revoked(tb testing.TB) string {
	tb.Helper()
	made, err := filepath.Glob(filepath.Join(filepath.Dir(k.config[1][1]), "openpgp-revocs.d", "*.rev"))
	if err != nil || len(made) != 1 {
		tb.Fatalf("%v, %v", made, err)
	}
	content, err := os.ReadFile(made[0])
	if err != nil {
		tb.Fatal(err)
	}
	k.GPG("--import", File(tb, strings.ReplaceAll(string(content), ":-----BEGIN", "-----BEGIN")))
	return k.GPG("--armor", "--export")
}

// SSH makes an SSH key of a kind such as ed25519, ecdsa or "rsa -b 4096".
func SSH(tb testing.TB, kind string) Key {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "key")
	run(tb, "ssh-keygen", append(strings.Fields("-q -t "+kind), "-N", "", "-C", "", "-f", file)...)
	public, err := os.ReadFile(file + ".pub")
	if err != nil {
		tb.Fatal(err)
	}
	return Key{
		Public: strings.TrimSpace(string(public)), ID: strings.Fields(run(tb, "ssh-keygen", "-l", "-f", file))[1],
		config: [][2]string{{"gpg.format", "ssh"}, {"user.signingkey", file}},
	}
}

// Use has git sign all commits and tags that it makes in a repository from now on. git is
// the function that runs it there.
func (k Key) Use(git func(args ...string) string) {
	for _, one := range append(k.config, [2]string{"commit.gpgsign", "true"}, [2]string{"tag.gpgsign", "true"}) {
		git("config", one[0], one[1])
	}
}

// Stop has git sign nothing any more.
func Stop(git func(args ...string) string) {
	git("config", "commit.gpgsign", "false")
	git("config", "tag.gpgsign", "false")
}

// File writes a file of keys that only its owner can change.
func File(tb testing.TB, lines ...string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "signers")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		tb.Fatal(err)
	}
	return path
}

func run(tb testing.TB, program string, args ...string) string {
	tb.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C"}
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("%s %s: %v\n%s", filepath.Base(program), strings.Join(args, " "), err, said.String())
	}
	return strings.TrimSpace(string(out))
}

// SignFile signs bytes with an SSH key for a namespace, and gives the signature.
func (k Key) SignFile(tb testing.TB, payload []byte, namespace string) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "payload")
	if err := os.WriteFile(file, payload, 0o600); err != nil {
		tb.Fatal(err)
	}
	run(tb, "ssh-keygen", "-q", "-Y", "sign", "-f", k.config[1][1], "-n", namespace, file)
	signature, err := os.ReadFile(file + ".sig")
	if err != nil {
		tb.Fatal(err)
	}
	return string(signature)
}
