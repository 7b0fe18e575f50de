package vaulttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// signer signs JSON web tokens.
type signer struct{ key *ecdsa.PrivateKey }

func newSigner(l *lab) signer {
	l.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		l.Fatal(err)
	}
	return signer{key}
}

// token gives a file with a token for an audience.
func (s signer) token(l *lab, audience string) string {
	l.Helper()
	with, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: s.key}, nil)
	if err != nil {
		l.Fatal(err)
	}
	text, err := jwt.Signed(with).Claims(jwt.Claims{
		Subject: "node3", Audience: jwt.Audience{audience}, IssuedAt: jwt.NewNumericDate(time.Now()), Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	}).Serialize()
	if err != nil {
		l.Fatal(err)
	}
	return l.admin.File("jwt", text)
}

// trustJWT makes an auth method that trusts a signer, with the role agent.
func (l *lab) trustJWT(mount string, of signer) {
	l.Helper()
	public, err := x509.MarshalPKIXPublicKey(of.key.Public())
	if err != nil {
		l.Fatal(err)
	}
	l.admin.Do(http.MethodPost, "sys/auth/"+mount, map[string]any{"type": "jwt"})
	l.admin.Do(http.MethodPost, "auth/"+mount+"/config", map[string]any{"jwt_validation_pubkeys": []string{string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))}})
	l.admin.Do(http.MethodPost, "auth/"+mount+"/role/agent", map[string]any{
		"role_type": "jwt", "user_claim": "sub", "bound_audiences": []string{"coin"}, "token_policies": []string{l.name}, "token_ttl": "20m",
	})
}
