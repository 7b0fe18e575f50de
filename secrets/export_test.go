package secrets

// Recipients lists the public keys of a ring as SOPS files name them.
func Recipients(k *Keyring) []string { return k.recipients }
