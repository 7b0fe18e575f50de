package secrets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/getsops/sops/v3"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/keys"
	"github.com/getsops/sops/v3/keyservice"
	"github.com/getsops/sops/v3/kms"
	sopspgp "github.com/getsops/sops/v3/pgp"
	"google.golang.org/grpc"

	"coin.internal/coin-agent/internal/fault"
)

// errKeyRefused says only that a key did not open: the libraries' own words may
// quote what they were given.
var errKeyRefused = errors.New("the key does not open this data key")

// service is the key service that SOPS asks for data keys. It admits age and
// PGP with the ring's keys, and nothing else.
type service struct{ ring *Keyring }

var _ keyservice.KeyServiceClient = service{}

// Decrypt opens the part of a data key that is encrypted to one recipient.
func (s service) Decrypt(_ context.Context, request *keyservice.DecryptRequest, _ ...grpc.CallOption) (*keyservice.DecryptResponse, error) {
	var plain []byte
	var err error
	switch kind := request.Key.KeyType.(type) {
	case *keyservice.Key_AgeKey:
		plain, err = s.ring.openAge(kind.AgeKey.Recipient, request.Ciphertext)
	case *keyservice.Key_PgpKey:
		plain, err = s.ring.openPGP(request.Ciphertext)
	default:
		err = errKeyRefused
	}
	if err != nil {
		return nil, err
	}
	return &keyservice.DecryptResponse{Plaintext: plain}, nil
}

// Encrypt is refused: this service only reads.
func (s service) Encrypt(context.Context, *keyservice.EncryptRequest, ...grpc.CallOption) (*keyservice.EncryptResponse, error) {
	return nil, errKeyRefused
}

func (k *Keyring) openAge(recipient string, ciphertext []byte) ([]byte, error) {
	if len(k.ages) == 0 { // SOPS would look for identities in the environment
		return nil, errKeyRefused
	}
	key := &sopsage.MasterKey{Recipient: recipient, EncryptedKey: string(ciphertext)}
	sopsage.ParsedIdentities(append([]age.Identity(nil), k.ages...)).ApplyToMasterKey(key)
	plain, err := key.Decrypt()
	if err != nil {
		return nil, errKeyRefused
	}
	return plain, nil
}

// openPGP does what SOPS' own PGP key does first, with the ring's keys. SOPS
// itself takes keys only from a GnuPG home, and asks gpg where that fails.
func (k *Keyring) openPGP(ciphertext []byte) ([]byte, error) {
	if len(k.pgps) == 0 {
		return nil, errKeyRefused
	}
	block, err := armor.Decode(bytes.NewReader(ciphertext))
	if err != nil {
		return nil, errKeyRefused
	}
	message, err := openpgp.ReadMessage(block.Body, k.pgps, nil, nil)
	if err != nil || message.DecryptedWith.PublicKey == nil { // a message that is not encrypted is read as well
		return nil, errKeyRefused
	}
	plain, err := io.ReadAll(message.UnverifiedBody)
	if err != nil { // the integrity check comes at the end
		clear(plain)
		return nil, errKeyRefused
	}
	return plain, nil
}

// dataKey gives the data key of a SOPS file, from as many key groups as it asks
// for. Master keys of other kinds are left out before SOPS sees them.
func (k *Keyring) dataKey(path string, metadata *sops.Metadata) ([]byte, error) {
	admitted := sops.Metadata{ShamirThreshold: metadata.ShamirThreshold}
	for _, group := range metadata.KeyGroups {
		var held sops.KeyGroup
		for _, key := range group {
			switch key.(type) {
			case *sopsage.MasterKey, *sopspgp.MasterKey:
				held = append(held, key)
			}
		}
		admitted.KeyGroups = append(admitted.KeyGroups, held)
	}
	key, err := admitted.GetDataKeyWithKeyServices([]keyservice.KeyServiceClient{service{k}}, nil)
	if err != nil {
		return nil, k.noKey(path, metadata)
	}
	return key, nil
}

// noKey says which recipients a file has and which keys were tried.
func (k *Keyring) noKey(path string, metadata *sops.Metadata) error {
	var groups, own []string
	for _, group := range metadata.KeyGroups {
		var names []string
		for _, key := range group {
			names = append(names, recipientName(key))
			if k.holds(key) {
				own = append(own, recipientName(key))
			}
		}
		groups = append(groups, strings.Join(names, ", "))
	}
	recipients := strings.Join(groups, "; ")
	if len(groups) > 1 {
		recipients = fmt.Sprintf("%d of %d key groups: %s", metadata.ShamirThreshold, len(groups), recipients)
	}
	tried := "none"
	if len(k.recipients) > 0 {
		tried = strings.Join(k.recipients, ", ")
	}
	place := fault.Place{File: path}
	if len(own) > 0 && len(groups) == 1 {
		return fault.New(place, "take the file from an earlier commit, or encrypt it anew",
			"the data key for %s does not open: the file is damaged or was tampered with", strings.Join(own, ", "))
	}
	return fault.New(place,
		"add a key of one of these recipients to the agent's key settings, or add the agent's recipient to .sops.yaml and run: sops updatekeys "+path,
		"no key opens the file; it is encrypted to %s; keys tried: %s", recipients, tried)
}

// holds tells whether one of the ring's keys is the recipient.
func (k *Keyring) holds(key keys.MasterKey) bool {
	switch key := key.(type) {
	case *sopsage.MasterKey:
		return slices.Contains(k.recipients, withoutComment(key.Recipient))
	case *sopspgp.MasterKey:
		for _, entity := range k.pgps {
			if strings.EqualFold(key.Fingerprint, fmt.Sprintf("%X", entity.PrimaryKey.Fingerprint)) {
				return true
			}
		}
	}
	return false
}

// withoutComment takes off what follows an SSH public key.
func withoutComment(recipient string) string {
	if fields := strings.Fields(recipient); len(fields) > 2 {
		return fields[0] + " " + fields[1]
	}
	return recipient
}

// recipientName names a recipient by kind and public name, on one short line:
// the text comes from the file.
func recipientName(key keys.MasterKey) string {
	kinds := map[string]string{
		sopsage.KeyTypeIdentifier: "age", sopspgp.KeyTypeIdentifier: "PGP",
		"gcp_kms": "Google Cloud KMS", "hckms": "Huawei Cloud KMS", "azure_kv": "Azure Key Vault", "hc_vault": "Vault transit",
	}
	if key, ok := key.(*kms.MasterKey); ok { // its ToString panics at a null in the encryption context
		return "AWS KMS " + oneLine(key.Arn, 120)
	}
	return kinds[key.TypeToIdentifier()] + " " + oneLine(key.ToString(), 120)
}

// oneLine makes text from a file fit for a message.
func oneLine(text string, limit int) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if runes := []rune(clean); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return clean
}
