package secrets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"

	"coin.internal/coin-agent/internal/fault"
)

// gnupg is a GnuPG home: its keys are used by gpg, and never read. gpg is run
// with the home of the agent's settings, without a terminal, and with nothing
// of the agent's environment but PATH.
type gnupg struct {
	home, passphraseFile string
	fingerprints         []string
}

func newGnuPG(home, passphraseFile string) (*gnupg, error) {
	place := fault.Place{File: home}
	info, err := os.Stat(home)
	switch {
	case err != nil:
		return nil, fault.New(place, "name an existing folder in gnupg_home", "look at the GnuPG home: %w", errors.Unwrap(err))
	case !info.IsDir():
		return nil, fault.New(place, "name the folder itself in gnupg_home", "the GnuPG home is not a folder")
	case info.Mode().Perm()&0o077 != 0:
		return nil, fault.New(place, "chmod 700 "+home, "others than its owner may use the GnuPG home (mode %04o)", info.Mode().Perm())
	}
	g := &gnupg{home: home, passphraseFile: passphraseFile}
	ctx, cancel := context.WithTimeout(context.Background(), remoteTimeout) //nolint:forbidigo // loading keys is local, and this bounds it
	defer cancel()
	listing, _, err := g.run(ctx, nil, "--with-colons", "--list-secret-keys")
	if errors.Is(err, exec.ErrNotFound) {
		return nil, fault.New(place, "apt install gnupg, or export the keys and name them in pgp_key_files", "the keys of a GnuPG home are used by gpg, which is not installed")
	}
	if err != nil {
		return nil, fault.New(place, "see what `gpg --homedir "+home+" --list-secret-keys` says, as the agent's user", "gpg cannot use the GnuPG home")
	}
	g.fingerprints = primaryKeys(listing)
	if len(g.fingerprints) == 0 {
		return nil, fault.New(place, "import a secret key: gpg --homedir "+home+" --import", "the GnuPG home holds no secret keys")
	}
	return g, nil
}

var colonKey = regexp.MustCompile(`(?m)^sec:.*\nfpr:{9}([0-9A-F]+):`)

// primaryKeys lists the fingerprints of the secret keys that gpg lists.
func primaryKeys(listing []byte) []string {
	var all []string
	for _, found := range colonKey.FindAllSubmatch(listing, -1) {
		all = append(all, string(found[1]))
	}
	return all
}

// open has gpg decrypt a data key.
func (g *gnupg) open(ctx context.Context, ciphertext []byte) ([]byte, error) {
	plain, statuses, err := g.run(ctx, ciphertext, "--status-fd", "2", "--decrypt")
	if err != nil || len(plain) == 0 || !bytes.Contains(statuses, []byte("[GNUPG:] DECRYPTION_OKAY")) { // a message that is not encrypted is read as well
		clear(plain)
		return nil, fmt.Errorf("%w: %s", errRemote, lastWords(statuses))
	}
	return plain, nil
}

// lastWords gives what gpg said last; it speaks of keys, not of content.
func lastWords(statuses []byte) string {
	words := "gpg: it said nothing"
	for line := range bytes.Lines(statuses) {
		if bytes.HasPrefix(line, []byte("gpg: ")) {
			words = oneLine(string(line), 120)
		}
	}
	return words
}

func (g *gnupg) run(ctx context.Context, input []byte, args ...string) (out, problems []byte, err error) {
	options := []string{"--homedir", g.home, "--batch", "--no-tty", "--quiet", "--no-options", "--pinentry-mode", "loopback"}
	if g.passphraseFile != "" {
		options = append(options, "--passphrase-file", g.passphraseFile)
	}
	command := exec.CommandContext(ctx, "gpg", append(options, args...)...) //nolint:gosec // the operator's own settings
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	var stdout, stderr bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(input), &stdout, &stderr
	err = command.Run()
	return stdout.Bytes(), stderr.Bytes(), err
}
