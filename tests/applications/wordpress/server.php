<?php
// Does on the server what an administrator of WordPress does in the browser: the live directory, a verb, its words.
[, $directory, $verb] = $argv;
$words = array_slice($argv, 3);
if ($verb === 'setup') {
    define('WP_INSTALLING', true);
}
function wp_mail(): bool
{
    return true;
}
require "$directory/wp-load.php";
foreach (['upgrade', 'plugin', 'file', 'misc', 'class-wp-upgrader', 'class-pclzip'] as $part) {
    require_once ABSPATH . "wp-admin/includes/$part.php";
}
class QuietSkin extends WP_Upgrader_Skin
{
    public function feedback($feedback, ...$words)
    {
    }

    public function header()
    {
    }

    public function footer()
    {
    }
}

function package(string $plugin): string
{
    $plugin = realpath($plugin);
    $zip = sys_get_temp_dir() . '/' . bin2hex(random_bytes(8)) . '.zip';
    (new PclZip($zip))->create($plugin, PCLZIP_OPT_REMOVE_PATH, dirname($plugin)) or exit('no package');
    return $zip;
}
WP_Filesystem();
$done = match ($verb) {
    'setup' => wp_install('Tea', 'admin', 'admin@example.com', true, '', 'secret') && !activate_plugin('shop/shop.php'),
    'install' => (new Plugin_Upgrader(new QuietSkin()))->install($zip = package($words[0]))
        && !activate_plugin($words[1]) && unlink($zip),
    'update' => (function () use ($words) {
        $zip = package($words[0]);
        $offer = (object) ['slug' => dirname($words[1]), 'plugin' => $words[1], 'new_version' => '2', 'package' => $zip];
        set_site_transient('update_plugins', (object) ['response' => [$words[1] => $offer]]);
        $done = (new Plugin_Upgrader(new QuietSkin()))->upgrade($words[1]);
        return $done === true && !activate_plugin($words[1]) && unlink($zip);
    })(),
    'edit' => (bool) $GLOBALS['wp_filesystem']->put_contents(WP_PLUGIN_DIR . "/$words[0]", $words[1], FS_CHMOD_FILE),
    'upload' => !wp_upload_bits($words[0], null, $words[1])['error'],
};
if ($done !== true) {
    fwrite(STDERR, 'failed: ' . var_export($done, true));
    exit(1);
}
