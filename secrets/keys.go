package secrets

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"golang.org/x/crypto/ssh"

	"coin.internal/coin-agent/internal/fault"
)

// maxKeyFile bounds what is read of a key file; the largest real ones are a few
// kilobytes.
const maxKeyFile = 1 << 20

// KeyFiles names the files that hold the keys, paths on this machine, and the
// key services that may be asked besides.
type KeyFiles struct {
	Age           []string // age identities or unencrypted SSH private keys
	PGP           []string // OpenPGP secret keys, armored or binary
	PGPPassphrase string   // the passphrase of the PGP keys; "" when they have none
	GnuPGHome     string   // a GnuPG home, whose keys gpg uses; "" for none

	Services     []string // the key services that are admitted, of KeyServices; none are DefaultKeyServices
	VaultAddress string   // the one Vault that is asked
	VaultToken   string   // its token
	CAFile       string   // certificates to trust besides the system's, for the Vault
}

// Keyring holds the keys that open the repository's files. Nothing else does:
// no environment variable, home directory, key agent or program is asked, unless
// KeyFiles names a GnuPG home or the key service of a cloud. It is safe for
// concurrent use.
type Keyring struct {
	ages       []age.Identity
	pgps       openpgp.EntityList
	gnupg      *gnupg
	vault      *vault
	services   []string
	recipients []string
}

// LoadKeys reads the key files. A file that group or others may read, and one
// that is not what it should be, is a fault that names it; all of them are
// reported together.
func LoadKeys(files KeyFiles) (*Keyring, error) {
	ring := &Keyring{}
	faults := []error{ring.admit(files)}
	for _, path := range files.Age {
		faults = append(faults, ring.addAge(path))
	}
	passphrase, err := readPassphrase(files.PGPPassphrase)
	defer clear(passphrase)
	faults = append(faults, err)
	if err == nil {
		for _, path := range files.PGP {
			faults = append(faults, ring.addPGP(path, passphrase))
		}
		faults = append(faults, ring.addGnuPG(files))
	}
	if ring.admits(serviceVault) {
		ring.vault, err = newVault(files)
		faults = append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return ring, nil
}

// String says how many keys there are, and nothing of them.
func (k *Keyring) String() string {
	if len(k.recipients) == 1 {
		return "1 key"
	}
	return fmt.Sprintf("%d keys", len(k.recipients))
}

// Recipients lists the public halves of the keys, as SOPS files name them.
func (k *Keyring) Recipients() []string { return append([]string(nil), k.recipients...) }

// readKeyFile reads a file that only its owner may read.
func readKeyFile(path string) ([]byte, error) {
	place := fault.Place{File: path}
	file, err := os.Open(path)
	if err != nil {
		return nil, fault.New(place, "name an existing file in the agent's key settings", "read key file: %w", errors.Unwrap(err))
	}
	defer file.Close() //nolint:errcheck // only read from
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, fault.New(place, "", "read key file: %w", err)
	case !info.Mode().IsRegular():
		return nil, fault.New(place, "name the key file itself in the agent's key settings", "the key file is not a regular file")
	case info.Mode().Perm()&0o077 != 0:
		return nil, fault.New(place, "chmod 600 "+path, "others than its owner may use the key file (mode %04o)", info.Mode().Perm())
	case info.Size() > maxKeyFile:
		return nil, fault.New(place, "", "the key file is larger than %d bytes", maxKeyFile)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxKeyFile))
	if err != nil {
		return nil, fault.New(place, "", "read key file: %w", err)
	}
	return data, nil
}

func readPassphrase(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	data, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	line := bytes.TrimRight(data, "\r\n")
	if len(line) == 0 {
		return nil, fault.New(fault.Place{File: path}, "write the passphrase into it, or remove it from the agent's key settings",
			"the passphrase file is empty")
	}
	return line, nil
}

func (k *Keyring) addAge(path string) error {
	data, err := readKeyFile(path)
	if err != nil {
		return err
	}
	defer clear(data)
	place := fault.Place{File: path}
	if bytes.Contains(data, []byte("PRIVATE KEY-----")) {
		return k.addSSH(place, data)
	}
	if bytes.HasPrefix(data, []byte("age-encryption.org/")) || bytes.Contains(data, []byte("-----BEGIN AGE ENCRYPTED FILE-----")) {
		return fault.New(place, "store the identity unencrypted, readable by the agent's user alone", "the age identity is protected by a passphrase")
	}
	// The parser's own words may quote the key.
	identities, err := age.ParseIdentities(bytes.NewReader(data))
	if err != nil {
		return fault.New(place, "give a file made by age-keygen, or an SSH private key",
			"the file holds no age identities (lines that start with AGE-SECRET-KEY-1), or one that is malformed")
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
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		return fault.New(place, "give a key without a passphrase, readable by the agent's user alone", "the SSH key is protected by a passphrase")
	}
	if err != nil {
		return fault.New(place, "give an unencrypted ed25519 or RSA private key", "the file holds no SSH private key that age can use")
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
	data, err := readKeyFile(path)
	if err != nil {
		return err
	}
	defer clear(data)
	place := fault.Place{File: path}
	entities, err := parsePGP(data)
	if err != nil {
		return fault.New(place, "give the output of gpg --export-secret-keys --armor", "the file holds no OpenPGP key that can be read")
	}
	usable := 0
	for _, entity := range entities {
		if len(passphrase) > 0 {
			_ = entity.DecryptPrivateKeys(passphrase) // where it fails, the keys stay locked
		}
		fingerprint := fmt.Sprintf("%X", entity.PrimaryKey.Fingerprint)
		held, locked := secretState(entity)
		if !held {
			continue
		}
		if locked {
			return lockedFault(place, fingerprint, len(passphrase) > 0)
		}
		usable++
		k.pgps = append(k.pgps, entity)
		k.recipients = append(k.recipients, fingerprint)
	}
	if usable == 0 {
		return fault.New(place, "export the secret key: gpg --export-secret-keys --armor", "the file holds public OpenPGP keys only")
	}
	return nil
}

func (k *Keyring) addGnuPG(files KeyFiles) error {
	if files.GnuPGHome == "" {
		return nil
	}
	home, err := newGnuPG(files.GnuPGHome, files.PGPPassphrase)
	if err != nil {
		return err
	}
	k.gnupg, k.recipients = home, append(k.recipients, home.fingerprints...)
	return nil
}

func lockedFault(place fault.Place, fingerprint string, tried bool) error {
	if tried {
		return fault.New(place, "put this key's passphrase into the PGP passphrase file of the agent's key settings",
			"the passphrase does not unlock the PGP key %s", fingerprint)
	}
	return fault.New(place, "name a PGP passphrase file in the agent's key settings, or export the key without a passphrase",
		"the PGP key %s is protected by a passphrase, and none is configured", fingerprint)
}

// parsePGP reads a binary key ring, or all armored blocks of a file.
func parsePGP(data []byte) (openpgp.EntityList, error) {
	if !bytes.Contains(data, []byte("-----BEGIN PGP")) {
		return openpgp.ReadKeyRing(bytes.NewReader(data))
	}
	var all openpgp.EntityList
	reader := bufio.NewReader(bytes.NewReader(data))
	for {
		block, err := armor.Decode(reader)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		entities, err := openpgp.ReadKeyRing(block.Body)
		if err != nil {
			return nil, err
		}
		all = append(all, entities...)
	}
	return all, nil
}

// secretState tells whether an entity holds secret keys, and whether one of them
// is locked. A stub (gnu-dummy), as gpg --export-secret-subkeys leaves for the
// primary key, is none.
func secretState(entity *openpgp.Entity) (held, locked bool) {
	look := func(encrypted bool) { held, locked = true, locked || encrypted }
	if key := entity.PrivateKey; key != nil && !key.Dummy() {
		look(key.Encrypted)
	}
	for _, subkey := range entity.Subkeys {
		if key := subkey.PrivateKey; key != nil && !key.Dummy() {
			look(key.Encrypted)
		}
	}
	return held, locked
}
