//! The credentials the simulated vendors accept. All invented for this purpose: they open nothing anywhere else.

/// Telnyx: the bearer key.
pub const TELNYX_API_KEY: &str = "KEY0190SIMULATED00000000000000000001_telnyxOnlyHere";

/// Cloudflare: the account that has an audit log.
pub const CLOUDFLARE_ACCOUNT_ID: &str = "9f2c41d07be84a6fb1d5c3e8a0764b15";
/// Cloudflare: an API token with `Account Settings Read` on that account.
pub const CLOUDFLARE_API_TOKEN: &str = "simulated-cloudflare-token-0123456789abcd";
/// Cloudflare: the user of the legacy scheme.
pub const CLOUDFLARE_EMAIL: &str = "auditor@harbour.example";
/// Cloudflare: the Global API key of that user.
pub const CLOUDFLARE_API_KEY: &str = "0123456789abcdef0123456789abcdef01234";

/// Voximplant: `account_id` and so `iss`.
pub const VOXIMPLANT_ACCOUNT_ID: u64 = 4_410_022;
/// Voximplant: `key_id` and so `kid`.
pub const VOXIMPLANT_KEY_ID: &str = "6c1d2f0e-0b7a-4a53-9d0e-2f4b8c1a7e55";
/// Voximplant: the service account's RSA key, PKCS#8 PEM. Generated for this file, known to nobody else's server.
pub const VOXIMPLANT_PRIVATE_KEY: &str = include_str!("keys/voximplant-private.pem");
/// The other half, with which the simulator verifies.
pub(crate) const VOXIMPLANT_PUBLIC_KEY: &str = include_str!("keys/voximplant-public.pem");

/// Ashby: a key with `auditLogsRead`.
pub const ASHBY_API_KEY: &str = "simulated-ashby-key-7b1f0c2d9e8a";
/// Ashby: a key that is right and lacks `auditLogsRead`.
pub const ASHBY_API_KEY_WITHOUT_PERMISSION: &str = "simulated-ashby-key-without-permission";

/// Nirvana Labs: a key with `read` on `audit_log`.
pub const NIRVANA_API_KEY: &str = "simulated-nirvana-key-41d2a7b6c5e8";
/// Nirvana Labs: a key that is right and lacks that permission.
pub const NIRVANA_API_KEY_WITHOUT_PERMISSION: &str = "simulated-nirvana-key-without-permission";
/// Nirvana Labs: the id under which the reading key appears as an actor in the audit log.
pub const NIRVANA_API_KEY_ID: &str = "b2a7c6d5-1e2f-4a3b-9c4d-5e6f7a8b9c0d";

/// Voximplant's service-account file, as the control panel hands it out.
pub fn voximplant_service_account() -> String {
    serde_json::json!({
        "account_email": "owner@harbour.example",
        "account_id": VOXIMPLANT_ACCOUNT_ID,
        "key_id": VOXIMPLANT_KEY_ID,
        "private_key": VOXIMPLANT_PRIVATE_KEY,
    })
    .to_string()
}
