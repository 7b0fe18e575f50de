package secrets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"coin.internal/coin-agent/internal/bounded"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/lazyregexp"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/internal/oneline"
)

// gnupg is a GnuPG home, whose keys only gpg reads. The agent runs gpg with the home from
// its settings, without a terminal, and with only PATH from its environment.
type gnupg struct {
	home, passphraseFile string
	fingerprints         []string
	limits               limits.Limits
}

func newGnuPG(home, passphraseFile string, bounds limits.Limits) (*gnupg, error) {
	place := fault.Place{File: home}
	info, err := os.Stat(home)
	switch {
	case err != nil:
		return nil, fault.New(place, "set gnupg_home to an existing folder", "open the GnuPG home: %w", errors.Unwrap(err))
	case !info.IsDir():
		return nil, fault.New(place, "set gnupg_home to a folder", "the GnuPG home is not a folder")
	case info.Mode().Perm()&0o077 != 0:
		return nil, fault.New(place, "chmod 700 "+home, "other users can access the GnuPG home (mode %04o)", info.Mode().Perm())
	}
	g := &gnupg{home: home, passphraseFile: passphraseFile, limits: bounds}
	ctx, cancel := context.WithTimeout(context.Background(), remoteTimeout) //nolint:forbidigo // loading keys is local, and has a timeout
	defer cancel()
	listing, _, err := g.run(ctx, nil, "--with-colons", "--list-secret-keys")
	if errors.Is(err, exec.ErrNotFound) {
		return nil, fault.New(place, "apt install gnupg, or export the keys and list them in pgp_key_files", "a GnuPG home needs gpg, which is not installed")
	}
	if err != nil {
		return nil, fault.New(place, "run `gpg --homedir "+home+" --list-secret-keys` as the agent's user", "gpg cannot use the GnuPG home")
	}
	for _, found := range primaryKey().FindAllSubmatch(listing, -1) {
		g.fingerprints = append(g.fingerprints, string(found[1]))
	}
	if len(g.fingerprints) == 0 {
		return nil, fault.New(place, "import a secret key: gpg --homedir "+home+" --import", "the GnuPG home has no secret keys")
	}
	return g, nil
}

// primaryKey finds the fingerprints of the secret keys that gpg lists.
var primaryKey = lazyregexp.New(`(?m)^sec:.*\nfpr:{9}([0-9A-F]+):`)

// open decrypts a data key with gpg.
func (g *gnupg) open(ctx context.Context, ciphertext []byte) ([]byte, error) {
	plain, statuses, err := g.run(ctx, ciphertext, "--max-output", strconv.FormatInt(int64(g.limits.PGPBytes)+1, 10), "--status-fd", "2", "--decrypt")
	if limits.Bytes(len(plain)) > g.limits.PGPBytes || err != nil && bytes.Contains(statuses, []byte("Provided object is too large")) {
		clear(plain)
		return nil, limits.Over(fault.Place{}, "pgp_bytes", "the decrypted PGP message has", g.limits.PGPBytes)
	}
	if err != nil || len(plain) == 0 || !bytes.Contains(statuses, []byte("[GNUPG:] DECRYPTION_OKAY")) { // gpg also reads unencrypted messages
		clear(plain)
		return nil, fmt.Errorf("%w: %s", errRemote, lastWords(statuses))
	}
	return plain, nil
}

// lastWords returns the last message of gpg, which is about keys, not content.
func lastWords(statuses []byte) string {
	words := "gpg: no message"
	for line := range bytes.Lines(statuses) {
		if bytes.HasPrefix(line, []byte("gpg: ")) {
			words = oneline.Cut(string(line), 120)
		}
	}
	return words
}

func (g *gnupg) run(ctx context.Context, input []byte, args ...string) (out, problems []byte, err error) {
	options := []string{"--homedir", g.home, "--batch", "--no-tty", "--quiet", "--no-options", "--pinentry-mode", "loopback"}
	if g.passphraseFile != "" {
		options = append(options, "--passphrase-file", g.passphraseFile)
	}
	command := exec.CommandContext(ctx, "gpg", append(options, args...)...) //nolint:gosec // from the operator's settings
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	stdout, stderr := bounded.Buffer{Most: maxAnswer}, bounded.Buffer{Most: maxAnswer}
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(input), &stdout, &stderr
	err = command.Run()
	return stdout.Bytes(), stderr.Bytes(), err
}
