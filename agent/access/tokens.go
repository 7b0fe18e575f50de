// Package access stands in front of the API on the network: it takes requests from anyone,
// and gives those with a valid token to the handlers, with the token's name as the actor
// and its scope. Tokens come from files, are compared in constant time, and appear nowhere.
package access

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/privatefile"
)

// Token is a token that the settings name.
type Token struct {
	Name  string
	File  string
	Scope control.Scope
}

// shortest is the length of the shortest token that is accepted: 128 bits in hexadecimal
// have 32 digits.
const shortest = 32

// login is a token that was read.
type login struct {
	sum    [sha256.Size]byte
	caller control.Caller
}

// WrongFiles says what is wrong with the files of an address: those of its tokens, its certificate and the
// key of that, if it has one.
func WrongFiles(tokens []Token, certFile, keyFile string) error {
	_, err := readTokens(tokens)
	if certFile == "" {
		return err
	}
	_, cert := ReadCertificate(certFile, keyFile)
	return errors.Join(err, cert)
}

// readTokens gives the tokens whose files can be read, and why others cannot. Each is to
// differ from the others, so that an actor is known by it.
func readTokens(tokens []Token) ([]login, error) {
	var faults []error
	logins := make([]login, 0, len(tokens))
	names := map[[sha256.Size]byte]string{}
	for _, token := range tokens {
		content, err := privatefile.Read(token.File, "the API token "+token.Name, nil)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		value := bytes.TrimSpace(content)
		refuse := func(format string, args ...any) {
			faults = append(faults, fault.New(fault.Place{File: token.File}, "write a random one: openssl rand -hex 32 > "+token.File, format, args...))
		}
		switch sum := sha256.Sum256(value); {
		case len(value) < shortest:
			refuse("the API token %s has under %d characters", token.Name, shortest)
		case bytes.ContainsAny(value, " \t\r\n") || bytes.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }):
			refuse("the API token %s has other characters than printable ASCII", token.Name)
		case names[sum] != "":
			refuse("the API tokens %s and %s are the same", names[sum], token.Name)
		default:
			names[sum] = token.Name
			logins = append(logins, login{sum, control.Caller{Actor: audit.Token(token.Name), Scope: token.Scope}})
		}
	}
	return logins, errors.Join(faults...)
}

// CheckTokens says which tokens cannot be read.
func CheckTokens(tokens []Token) error {
	_, err := readTokens(tokens)
	return err
}

// find gives the login of a token. It takes the same time for each token.
func find(logins []login, token string) (of login, found bool) {
	sum := sha256.Sum256([]byte(token))
	for _, one := range logins {
		if subtle.ConstantTimeCompare(one.sum[:], sum[:]) == 1 {
			of, found = one, true
		}
	}
	return of, found
}
