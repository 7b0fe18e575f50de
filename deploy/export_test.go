package deploy

// Names that tests need and nobody else.
var (
	ServiceChanges = serviceChanges
	Masked         = masked
	MaskedList     = maskedList
	NetworkChanges = networkChanges
	Withhold       = withhold
	Settle         = settle
)
