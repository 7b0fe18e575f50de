package secrets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/getsops/sops/v3"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/hcvault"
	"github.com/getsops/sops/v3/keys"
	"github.com/getsops/sops/v3/keyservice"
	"github.com/getsops/sops/v3/kms"
	sopspgp "github.com/getsops/sops/v3/pgp"
	"google.golang.org/grpc"

	"coin.internal/coin-agent/internal/bounded"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/internal/oneline"
)

// errKeyRefused replaces the errors of libraries, which may quote their input.
var errKeyRefused = errors.New("the key does not open this data key")

// errRemote is the start of errors about gpg and key services on the network.
var errRemote = errors.New("the key service does not open the data key")

// service is the key service that SOPS asks for the data key of one file. It uses only
// the keys and services of the ring, and records the errors of gpg and of services on
// the network.
type service struct {
	ring       *Keyring
	recipients map[string]keys.MasterKey // by the encrypted data key, as failures
	failures   map[string]error
}

var _ keyservice.KeyServiceClient = service{}

// Decrypt opens the part of a data key that is encrypted to one recipient.
func (s service) Decrypt(ctx context.Context, request *keyservice.DecryptRequest, _ ...grpc.CallOption) (*keyservice.DecryptResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, remoteTimeout)
	defer cancel()
	plain, err := s.ring.open(ctx, s.recipients[string(request.Ciphertext)])
	if err != nil {
		if errors.Is(err, errRemote) || errors.Is(err, limits.ErrExceeded) {
			s.failures[string(request.Ciphertext)] = err
		}
		return nil, err
	}
	return &keyservice.DecryptResponse{Plaintext: plain}, nil
}

// open decrypts a part of a data key with the keys and services that dataKey allows.
func (k *Keyring) open(ctx context.Context, recipient keys.MasterKey) ([]byte, error) {
	switch recipient := recipient.(type) {
	case *sopsage.MasterKey:
		return k.openAge(*recipient)
	case *sopspgp.MasterKey:
		return k.openPGP(ctx, recipient.EncryptedDataKey())
	case *hcvault.MasterKey:
		return k.vault.open(ctx, recipient)
	}
	return nil, errKeyRefused
}

// Encrypt returns an error, because this service only decrypts.
func (s service) Encrypt(context.Context, *keyservice.EncryptRequest, ...grpc.CallOption) (*keyservice.EncryptResponse, error) {
	return nil, errKeyRefused
}

func (k *Keyring) openAge(key sopsage.MasterKey) ([]byte, error) {
	if len(k.ages) == 0 { // SOPS would look for identities in the environment
		return nil, errKeyRefused
	}
	sopsage.ParsedIdentities(slices.Clone(k.ages)).ApplyToMasterKey(&key)
	plain, err := key.Decrypt()
	if err != nil {
		return nil, errKeyRefused
	}
	return plain, nil
}

// openPGP tries the keys of files, then those of the GnuPG home. SOPS would use the
// default home, and programs in SOPS_* variables.
func (k *Keyring) openPGP(ctx context.Context, ciphertext []byte) ([]byte, error) {
	plain, err := k.openOpenPGP(ciphertext)
	if err != nil && k.gnupg != nil {
		return k.gnupg.open(ctx, ciphertext)
	}
	return plain, err
}

// openOpenPGP does the same as the PGP key of SOPS, with the ring's keys.
func (k *Keyring) openOpenPGP(ciphertext []byte) ([]byte, error) {
	if len(k.pgps) == 0 {
		return nil, errKeyRefused
	}
	block, err := armor.Decode(bytes.NewReader(ciphertext))
	if err != nil {
		return nil, errKeyRefused
	}
	message, err := openpgp.ReadMessage(block.Body, k.pgps, nil, nil)
	if err != nil || message.DecryptedWith.PublicKey == nil { // the library also reads unencrypted messages
		return nil, errKeyRefused
	}
	plain, err := bounded.ReadAll(message.UnverifiedBody, k.limits.PGPBytes) // a message can be compressed
	if errors.Is(err, bounded.ErrTooLong) {
		return nil, limits.Over(fault.Place{}, "pgp_bytes", "the decrypted PGP message has", k.limits.PGPBytes)
	}
	if err != nil { // the integrity check is at the end
		return nil, errKeyRefused
	}
	return plain, nil
}

// dataKey returns the data key of a SOPS file. It removes the recipients of services that
// are not allowed before it calls SOPS.
func (k *Keyring) dataKey(d *document) ([]byte, error) {
	metadata := &d.tree.Metadata
	admitted := sops.Metadata{ShamirThreshold: metadata.ShamirThreshold}
	asked := service{ring: k, recipients: map[string]keys.MasterKey{}, failures: map[string]error{}}
	recipients := len(metadata.KeyGroups)
	for _, group := range metadata.KeyGroups {
		recipients += len(group)
	}
	if err := limits.Within(fault.Place{File: d.path}, "recipients", "the number of recipients and their groups is", recipients, k.limits.Recipients); err != nil {
		return nil, err
	}
	for _, group := range metadata.KeyGroups {
		var held sops.KeyGroup
		for _, key := range group {
			if k.admits(serviceOf(key)) {
				held = append(held, key)
				asked.recipients[string(key.EncryptedDataKey())] = key
			}
		}
		admitted.KeyGroups = append(admitted.KeyGroups, held)
	}
	// age and PGP come first, because they do not need the network.
	key, err := admitted.GetDataKeyWithKeyServices([]keyservice.KeyServiceClient{asked}, []string{sopsage.KeyTypeIdentifier, sopspgp.KeyTypeIdentifier})
	if err != nil {
		return nil, k.noKey(d, asked.failures)
	}
	return key, nil
}

// noKey returns a fault with the recipients of a file and the keys that were tried. It is transient
// if a key service may open the file later.
func (k *Keyring) noKey(d *document, failures map[string]error) error {
	var groups, own []string
	remedy := "add a key of one of these recipients to the agent's key settings, or add the agent's recipient to .sops.yaml and run: " + d.sops("updatekeys")
	for _, group := range d.tree.Metadata.KeyGroups {
		var names []string
		for _, key := range group {
			name, service := recipientName(key), serviceOf(key)
			if k.holds(key) {
				own = append(own, name)
			}
			if failure := failures[string(key.EncryptedDataKey())]; failure != nil {
				name += " (" + failure.Error() + ")"
			} else if absentTitle(service) != "" {
				name += " (not built into the agent)"
			} else if !k.admits(service) {
				name += " (needs " + service + ")"
				remedy = "add " + service + " to key_services, " + remedy
			}
			names = append(names, name)
		}
		groups = append(groups, strings.Join(names, ", "))
	}
	recipients := strings.Join(groups, "; ")
	if len(groups) > 1 {
		recipients = fmt.Sprintf("%d of %d key groups: %s", d.tree.Metadata.ShamirThreshold, len(groups), recipients)
	}
	tried := "none"
	if len(k.recipients) > 0 {
		tried = strings.Join(k.recipients, ", ")
	}
	place := fault.Place{File: d.path}
	for _, failure := range failures {
		if errors.Is(failure, limits.ErrExceeded) {
			return fault.New(place, fault.Hint(failure), "%w", failure)
		}
	}
	if len(own) > 0 && len(groups) == 1 && len(failures) == 0 {
		return fault.New(place, "restore the file from an earlier commit, or encrypt it again",
			"the data key for %s does not decrypt: the file is damaged or was manipulated", strings.Join(own, ", "))
	}
	if fault.IsTransient(errors.Join(slices.Collect(maps.Values(failures))...)) {
		return fault.Transient(fault.New(place, "check that the Vault runs, and that this node can connect to it: vault status",
			"no key opens the file now; it is encrypted to %s; keys tried: %s", recipients, tried))
	}
	return fault.New(place, remedy, "no key opens the file; it is encrypted to %s; keys tried: %s", recipients, tried)
}

// holds reports whether one of the ring's keys is the recipient. The recipient may be an
// SSH public key with a comment.
func (k *Keyring) holds(key keys.MasterKey) bool {
	if !slices.Contains(DefaultKeyServices(), serviceOf(key)) {
		return false
	}
	name := key.ToString()
	return slices.ContainsFunc(k.recipients, func(own string) bool { return strings.EqualFold(own, name) || strings.HasPrefix(name, own+" ") })
}

// recipientName returns the kind and public name of a recipient on one short line,
// because the text is from the file.
func recipientName(key keys.MasterKey) string {
	name := ""
	if amazon, ok := key.(*kms.MasterKey); ok { // its ToString panics on a null in the encryption context
		name = amazon.Arn
	} else {
		name = key.ToString()
	}
	return titleOf(serviceOf(key)) + " " + oneline.Cut(name, 120)
}
