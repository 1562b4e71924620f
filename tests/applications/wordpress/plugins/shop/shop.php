<?php
/* Plugin Name: shop */
add_filter('parts', fn ($parts) => $parts . ', shop 1');
