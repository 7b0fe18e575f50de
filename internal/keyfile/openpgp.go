package keyfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
)

// OpenPGP gives the keys of a binary key ring, or of all armored blocks of a file.
func OpenPGP(content []byte) (openpgp.EntityList, error) {
	if !bytes.Contains(content, []byte("-----BEGIN PGP")) {
		return openpgp.ReadKeyRing(bytes.NewReader(content))
	}
	var all openpgp.EntityList
	for reader := bufio.NewReader(bytes.NewReader(content)); ; { // one that armor.Decode leaves where it ended
		block, err := armor.Decode(reader)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if block.Type != openpgp.PublicKeyType && block.Type != openpgp.PrivateKeyType {
			return nil, fmt.Errorf("a block is a %s", block.Type)
		}
		found, err := openpgp.ReadKeyRing(block.Body)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
}
