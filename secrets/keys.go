package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/getsops/sops/v3/hcvault"
	"golang.org/x/crypto/ssh"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/keyfile"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/internal/plural"
	"coin.internal/coin-agent/internal/privatefile"
)

// KeyFiles names the key files by their paths on this machine, and the allowed key
// services.
type KeyFiles struct {
	Age           []string // age identities or unencrypted SSH private keys
	PGP           []string // OpenPGP secret keys, armored or binary
	PGPPassphrase string   // file with the passphrase of the PGP keys, or ""
	GnuPGHome     string   // a GnuPG home, whose keys gpg uses, or ""

	Services     []string // allowed names from KeyServices; empty means DefaultKeyServices
	VaultAddress string   // address of the only allowed Vault
	VaultToken   string   // file with its token
	CAFile       string   // certificates that are trusted for the Vault, besides the system's

	Limits limits.Limits // zero means the default ones
}

// Keyring holds the keys that open the repository's files. It does not use environment
// variables, home directories, key agents or programs, unless KeyFiles names a GnuPG home. It
// is safe for concurrent use.
type Keyring struct {
	ages       []age.Identity
	pgps       openpgp.EntityList
	gnupg      *gnupg
	vault      *vault
	services   []string
	recipients []string
	limits     limits.Limits
}

// LoadKeys reads the key files. It refuses invalid files, and files that other users can
// access. It returns all faults joined.
func LoadKeys(files KeyFiles) (*Keyring, error) {
	ring := &Keyring{limits: files.Limits.OrDefault()}
	faults := []error{ring.admit(files)}
	for _, path := range files.Age {
		faults = append(faults, ring.addAge(path))
	}
	var passphrase []byte
	var err error
	if files.PGPPassphrase != "" {
		passphrase, err = privatefile.Read(files.PGPPassphrase, "the passphrase file", nil)
		defer clear(passphrase)
	}
	faults = append(faults, err)
	if err == nil {
		for _, path := range files.PGP {
			faults = append(faults, ring.addPGP(path, bytes.TrimRight(passphrase, "\r\n")))
		}
		faults = append(faults, ring.addGnuPG(files))
	}
	if ring.admits(hcvault.KeyTypeIdentifier) {
		ring.vault, err = newVault(files)
		faults = append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return ring, nil
}

// String returns the number of keys.
func (k *Keyring) String() string { return plural.Count(len(k.recipients), "key") }

func (k *Keyring) addAge(path string) error {
	data, err := privatefile.Read(path, "the key file", nil)
	if err != nil {
		return err
	}
	defer clear(data)
	place := fault.Place{File: path}
	if bytes.Contains(data, []byte("PRIVATE KEY-----")) {
		return k.addSSH(place, data)
	}
	if bytes.HasPrefix(data, []byte("age-encryption.org/")) || bytes.Contains(data, []byte("-----BEGIN AGE ENCRYPTED FILE-----")) {
		return fault.New(place, "store the identity unencrypted, with mode 600 for the agent's user", "the age identity has a passphrase")
	}
	// The parser's error may quote the key.
	identities, err := age.ParseIdentities(bytes.NewReader(data))
	if err != nil {
		return fault.New(place, "use a file from age-keygen, or an SSH private key",
			"the file has no age identity (a line that starts with AGE-SECRET-KEY-1), or a malformed one")
	}
	for _, identity := range identities {
		k.ages = append(k.ages, identity)
		switch identity := identity.(type) {
		case *age.X25519Identity:
			k.recipients = append(k.recipients, identity.Recipient().String())
		case *age.HybridIdentity:
			k.recipients = append(k.recipients, identity.Recipient().String())
		}
	}
	return nil
}

func (k *Keyring) addSSH(place fault.Place, data []byte) error {
	identity, err := agessh.ParseIdentity(data)
	if _, ok := errors.AsType[*ssh.PassphraseMissingError](err); ok {
		return fault.New(place, "use a key without a passphrase, with mode 600 for the agent's user", "the SSH key has a passphrase")
	}
	if err != nil {
		return fault.New(place, "use an unencrypted ed25519 or RSA private key", "the file has no SSH private key that age supports")
	}
	signer, err := ssh.ParsePrivateKey(data)
	if err != nil {
		return fault.New(place, "", "the SSH private key is malformed")
	}
	k.ages = append(k.ages, identity)
	k.recipients = append(k.recipients, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))))
	return nil
}

func (k *Keyring) addPGP(path string, passphrase []byte) error {
	data, err := privatefile.Read(path, "the key file", nil)
	if err != nil {
		return err
	}
	defer clear(data)
	place := fault.Place{File: path}
	entities, err := keyfile.OpenPGP(data)
	if err != nil {
		return fault.New(place, "use the output of gpg --export-secret-keys --armor", "the file has no readable OpenPGP key")
	}
	usable := 0
	for _, entity := range entities {
		if len(passphrase) > 0 {
			_ = entity.DecryptPrivateKeys(passphrase) // after a failure the keys stay locked
		}
		fingerprint := fmt.Sprintf("%X", entity.PrimaryKey.Fingerprint)
		held, locked := secretState(entity)
		if !held {
			continue
		}
		switch {
		case locked && len(passphrase) > 0:
			return fault.New(place, "write this key's passphrase into the PGP passphrase file of the agent's key settings",
				"the passphrase does not unlock the PGP key %s", fingerprint)
		case locked:
			return fault.New(place, "set a PGP passphrase file in the agent's key settings, or export the key without a passphrase",
				"the PGP key %s has a passphrase, but no passphrase file is set", fingerprint)
		}
		usable++
		k.pgps = append(k.pgps, entity)
		k.recipients = append(k.recipients, fingerprint)
	}
	if usable == 0 {
		return fault.New(place, "export the secret key: gpg --export-secret-keys --armor", "the file has only public OpenPGP keys")
	}
	return nil
}

func (k *Keyring) addGnuPG(files KeyFiles) error {
	if files.GnuPGHome == "" {
		return nil
	}
	home, err := newGnuPG(files.GnuPGHome, files.PGPPassphrase, k.limits)
	if err != nil {
		return err
	}
	k.gnupg, k.recipients = home, append(k.recipients, home.fingerprints...)
	return nil
}

// secretState reports whether an entity has secret keys, and whether one of them is
// locked. It ignores a stub (gnu-dummy), which gpg --export-secret-subkeys writes for
// the primary key.
func secretState(entity *openpgp.Entity) (held, locked bool) {
	keys := []*packet.PrivateKey{entity.PrivateKey}
	for _, subkey := range entity.Subkeys {
		keys = append(keys, subkey.PrivateKey)
	}
	for _, key := range keys {
		if key != nil && !key.Dummy() {
			held, locked = true, locked || key.Encrypted
		}
	}
	return held, locked
}
