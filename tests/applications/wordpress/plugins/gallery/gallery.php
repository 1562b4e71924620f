<?php
/* Plugin Name: gallery */
add_filter('parts', fn ($parts) => $parts . ', gallery 1');
