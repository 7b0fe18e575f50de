package secrets

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/getsops/sops/v3/hcvault"

	"coin.internal/coin-agent/internal/authorities"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/lazyregexp"
	"coin.internal/coin-agent/internal/loopback"
	"coin.internal/coin-agent/internal/privatefile"
)

// maxAnswer is the maximum size of an answer of the Vault.
const maxAnswer = 1 << 20

// vault uses the transit engine of one Vault. The client of SOPS takes the address from
// the file, so that a commit could send the agent's token to another server. This client
// uses only the Vault in the agent's settings.
type vault struct {
	address string
	token   []byte
	client  *http.Client
}

func newVault(files KeyFiles) (*vault, error) {
	if files.VaultAddress == "" || files.VaultToken == "" {
		return nil, fault.New(fault.Place{}, "set vault_address to the https address of the Vault, and vault_token_file", "key_services lists hc_vault, but vault_address or vault_token_file is not set")
	}
	address, err := url.Parse(files.VaultAddress)
	if err != nil || address.Host == "" || address.User != nil || address.RawQuery != "" || address.Scheme != "https" && (address.Scheme != "http" || !loopback.Is(address.Hostname())) {
		return nil, fault.New(fault.Place{}, "write an address such as https://vault.example.com:8200", "vault_address is not an https address")
	}
	token, err := privatefile.Read(files.VaultToken, "the token file of the Vault", nil)
	if err != nil {
		return nil, err
	}
	token = bytes.TrimSpace(token)
	if bytes.ContainsAny(token, "\r\n") {
		return nil, fault.New(fault.Place{File: files.VaultToken}, "write only the token into the file", "the file does not contain a Vault token")
	}
	client, err := authorities.Client(files.CAFile)
	if err != nil {
		return nil, err
	}
	client.Timeout = remoteTimeout
	return &vault{address: strings.TrimRight(files.VaultAddress, "/"), token: token, client: client}, nil
}

var vaultName = lazyregexp.New(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

// path returns the path of a request with the engine and key in the file.
func (v *vault) path(key *hcvault.MasterKey) (string, error) {
	if !strings.EqualFold(strings.TrimRight(key.VaultAddress, "/"), v.address) {
		return "", fmt.Errorf("%w: its address differs from vault_address, %s", errRemote, v.address)
	}
	parts := append(strings.Split(strings.Trim(key.EnginePath, "/"), "/"), key.KeyName)
	if slices.ContainsFunc(parts, func(part string) bool { return !vaultName().MatchString(part) }) {
		return "", fmt.Errorf("%w: its path is not the path of a transit key", errRemote)
	}
	last := len(parts) - 1
	return "/v1/" + strings.Join(slices.Insert(parts, last, "decrypt"), "/"), nil
}

// open decrypts a data key.
func (v *vault) open(ctx context.Context, key *hcvault.MasterKey) ([]byte, error) {
	path, err := v.path(key)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]string{"ciphertext": key.EncryptedKey})
	if err != nil {
		return nil, errKeyRefused
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, v.address+path, bytes.NewReader(body))
	if err != nil {
		return nil, errKeyRefused
	}
	request.Header.Set("X-Vault-Token", string(v.token))
	request.Header.Set("X-Vault-Request", "true")
	request.Header.Set("Content-Type", "application/json")
	response, err := v.client.Do(request)
	if err != nil {
		return nil, remoteFailure(err)
	}
	defer response.Body.Close() //nolint:errcheck // only read from
	if status := response.StatusCode; status != http.StatusOK {
		err := fmt.Errorf("%w: it answered %d %s", errRemote, status, http.StatusText(status))
		if status >= 500 || status < 400 || status == http.StatusTooManyRequests || status == http.StatusPreconditionFailed {
			return nil, fault.Transient(err) // it is sealed, busy, or not the active server
		}
		return nil, err
	}
	return vaultAnswer(response.Body)
}

func vaultAnswer(body io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(body, maxAnswer))
	defer clear(text)
	if err != nil {
		return nil, remoteFailure(err)
	}
	var answer struct {
		Data struct {
			Plaintext []byte `json:"plaintext"`
		} `json:"data"`
	}
	if json.Unmarshal(text, &answer) != nil || len(answer.Data.Plaintext) == 0 {
		return nil, fmt.Errorf("%w: its answer is not the answer of a transit key", errRemote)
	}
	return answer.Data.Plaintext, nil
}
